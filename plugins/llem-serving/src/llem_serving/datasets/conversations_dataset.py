"""The dataset `conversations`: every turn of the conversations of a file is a prompt, the chat so far with its recorded answers.

Turns of one conversation stand one after another and carry its number, so that a scenario can have them follow one another.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from llem.plugin_api import Caveat, DatasetError, LoadedDataset, Prompt
from llem_serving.datasets.conversations import read_conversations
from llem_serving.datasets.sessions import Session, next_prompt

if TYPE_CHECKING:
    from llem.plugin_api import DatasetConfig


def load(config: DatasetConfig, base_dir: str) -> LoadedDataset:
    """The first `config.n` turns, or with `shuffle` those of conversations in a seeded random order. The last conversation may be
    cut short by that.

    Raises:
        DatasetError: no file, one that holds no conversations, too few turns, or chats are to be cut.
    """
    if config.path is None:
        raise DatasetError(
            "a dataset of conversations needs the path of its file.",
            where="dataset.path",
            remedy="Set it to a file of records with `messages`, or of ShareGPT's form.",
        )
    if config.input_tokens is not None:
        raise DatasetError(
            f"dataset.input_tokens is {config.input_tokens}, and chats are sent whole: cutting one would drop its question or its "
            "history.",
            where="dataset.input_tokens",
            remedy="Leave it out, or shorten the conversations.",
        )
    found = read_conversations(Path(base_dir, Path(config.path).expanduser()))
    sessions = list(found.sessions)
    held = sum(len(session.turns) for session in sessions)
    if held < config.n:
        raise DatasetError(
            f"its conversations have {held:,} turns; {config.n:,} prompts are asked for.",
            where="dataset.n",
            remedy=f"Set it to {held} at most.",
        )
    if config.shuffle:
        random.Random(config.seed).shuffle(sessions)
    prompts = list(islice(_prompts(sessions), config.n))
    taken = len({prompt.session for prompt in prompts})
    return LoadedDataset(
        name=config.name,
        provenance=f"{Path(config.path).name}, {config.n:,} turns of {taken:,} of its {len(sessions):,} conversations",
        sha256=found.sha256,
        prompts=prompts,
        available=held,
        caveats=[Caveat("dataset_changed", " ".join(found.notes))] if found.notes else [],
    )


def _prompts(sessions: Sequence[Session]) -> Iterator[Prompt]:
    for number, session in enumerate(sessions):
        for turn in range(len(session.turns)):
            yield Prompt(messages=next_prompt(session, turn), session=number)
