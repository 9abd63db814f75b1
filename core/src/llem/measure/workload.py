"""From prompts to requests: what the engine is asked, the same for every pass."""

from __future__ import annotations

import random
from collections.abc import Sequence

from llem.config.experiment import ExperimentConfig
from llem.errors import DatasetError
from llem.specs.backend import LoadReport, Request
from llem.specs.dataset import Piece, Prompt


def build_requests(prompts: Sequence[Prompt], config: ExperimentConfig, report: LoadReport) -> list[Request]:
    """One request for each prompt, ids from 0 in the order of the prompts.

    Text goes as it is; the engine tokenizes it and cuts it to `dataset.input_tokens`. A chat goes whole. A recipe becomes exactly its
    `input_tokens` ids, drawn uniformly, by the recipe's own seed, from the model's vocabulary without its special tokens; pieces
    become their ids one after another.

    Raises:
        DatasetError: a prompt that is neither text, chat nor recipe, or a vocabulary with nothing left to draw from.
    """
    fixed = config.decoding.length == "fixed"
    vocabulary: list[int] | None = None
    requests = []
    for index, prompt in enumerate(prompts):
        ids: tuple[int, ...] | None = None
        if prompt.text is None and prompt.messages is None:
            pieces = prompt.pieces or (
                () if prompt.input_tokens is None else (Piece(prompt.input_tokens, prompt.seed),)
            )
            if not pieces:
                raise DatasetError(
                    f"prompt {index} of the dataset `{config.dataset.name}` is neither text nor a chat nor a recipe.",
                    remedy="A dataset's loader gives each Prompt a text, messages or a number of input_tokens.",
                )
            if vocabulary is None:
                vocabulary = drawable_ids(report)
            ids = tuple(
                one for piece in pieces for one in random.Random(piece.seed).choices(vocabulary, k=piece.tokens)
            )
        requests.append(
            Request(
                id=index,
                output_tokens=config.dataset.output_tokens if prompt.output_tokens is None else prompt.output_tokens,
                prompt=prompt.text,
                prompt_token_ids=ids,
                ignore_eos=fixed,
                max_input_tokens=config.dataset.input_tokens,
                chat_template=config.dataset.chat_template,
                messages=prompt.messages,
                session=prompt.session,
            )
        )
    return requests


def drawable_ids(report: LoadReport) -> list[int]:
    """The ids that a synthetic prompt is drawn from: the vocabulary without special tokens, ascending."""
    if report.vocab_size is None:
        raise DatasetError(
            "the backend cannot tell the model's vocabulary, so that no synthetic prompt can be drawn from it.",
            where="dataset.name",
            remedy="Use a dataset of text, or tell the backend the vocabulary where it has an option for that.",
        )
    ids = [i for i in range(report.vocab_size) if i not in report.special_token_ids]
    if not ids:
        raise DatasetError(
            f"the model's vocabulary of {report.vocab_size} ids has no ordinary token to draw a synthetic prompt from.",
            remedy="Use a dataset of text with this model.",
        )
    return ids
