"""The dataset `synthetic_conversations`: conversations of random token ids, each turn of which begins with the whole of the turn before.

Every conversation has five turns, and each adds as much: the recorded answer to the turn before, and a new question. Lengths are
exact, because prompts are token ids, and no two conversations have anything in common.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from llem.plugin_api import DatasetError, LoadedDataset, Piece, Prompt
from llem_serving.datasets.pieces import seed_of

if TYPE_CHECKING:
    from llem.plugin_api import DatasetConfig

NAME = "synthetic_conversations"

TURNS = 5
"""Of each conversation."""


def load(config: DatasetConfig, base_dir: str) -> LoadedDataset:
    """`config.n` turns, `TURNS` to a conversation; the prompt of a last turn has `config.input_tokens` tokens. Reads no file.

    Raises:
        DatasetError: `input_tokens` is not set or not to be parted into turns, or a share of a prefix is given.
    """
    step = _added_by_a_turn(config)
    recipe = {"added_by_a_turn": step, "turns": TURNS, "seed": config.seed, "version": 1}
    repeated = (TURNS - 1) / (TURNS + 1)
    return LoadedDataset(
        name=config.name,
        provenance=f"random token ids made by llem: conversations of {TURNS} turns, each of which adds {step} tokens; in a whole one "
        f"{repeated:.1%} of prompt tokens repeat the turn before; seed {config.seed}",
        sha256=hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest(),
        prompts=[_prompt(*divmod(place, TURNS), step, config.seed) for place in range(config.n)],
    )


def _added_by_a_turn(config: DatasetConfig) -> int:
    if config.prefix_share is not None:
        raise DatasetError(
            f"the dataset {NAME} has no prefix that all prompts share.",
            where="dataset.prefix_share",
            remedy="Leave it out, or take the dataset shared_prefix.",
        )
    if config.input_tokens is None:
        raise DatasetError(
            f"the dataset {NAME} needs the length of a conversation's last prompt.",
            where="dataset.input_tokens",
            remedy="Set it to a number of tokens, such as 1000.",
        )
    step, rest = divmod(config.input_tokens, TURNS)
    if rest:
        nearest = max(TURNS, round(config.input_tokens / TURNS) * TURNS)
        raise DatasetError(
            f"{config.input_tokens:,} tokens are not to be parted into {TURNS} turns that add as much each.",
            where="dataset.input_tokens",
            remedy=f"Set it to a multiple of {TURNS}, such as {nearest:,}.",
        )
    return step


def _prompt(conversation: int, turn: int, step: int, seed: int) -> Prompt:
    said = tuple(Piece(step, seed_of("turn", seed, conversation, before)) for before in range(turn + 1))
    return Prompt(pieces=said, session=conversation)
