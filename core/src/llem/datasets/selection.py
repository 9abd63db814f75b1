"""The choice of n prompts from a dataset."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from llem.datasets.chat import as_asked
from llem.errors import DatasetError
from llem.specs.caveat import Caveat
from llem.specs.dataset import LoadedDataset, Prompt

if TYPE_CHECKING:
    from llem.config.experiment import DatasetConfig

T = TypeVar("T")


def draw(items: Sequence[T], config: DatasetConfig, where: str) -> list[T]:
    """Exactly `config.n` items: the first ones, or with `shuffle` a seeded random draw without repetition.

    Args:
        where: the file or dataset, for messages.

    Raises:
        DatasetError: there are fewer.
    """
    if len(items) < config.n:
        raise DatasetError(
            f"it has {len(items):,} prompt{'' if len(items) == 1 else 's'}; {config.n:,} are asked for.",
            where=where,
            remedy=f"Set dataset.n to {len(items):,} at most." if items else "Give a dataset with prompts.",
        )
    if not config.shuffle:
        return list(items[: config.n])
    order = list(range(len(items)))
    random.Random(config.seed).shuffle(order)
    return [items[i] for i in order[: config.n]]


def draw_prompts(prompts: Sequence[Prompt], config: DatasetConfig, where: str) -> tuple[list[Prompt], list[Caveat]]:
    """Exactly `config.n` prompts as they are asked, and what was changed in them.

    Raises:
        DatasetError: there are fewer, or chats are to be cut.
    """
    drawn = draw(prompts, config, where)
    if config.input_tokens is not None and any(prompt.messages is not None for prompt in drawn):
        raise DatasetError(
            f"dataset.input_tokens is {config.input_tokens}, and chats are sent whole: cutting one would drop its question "
            "or its history.",
            where=where,
            remedy="Leave dataset.input_tokens out, shorten the chats, or name a field of text with dataset.field.",
        )
    return as_asked(drawn)


def loaded(found: Sequence[Prompt], config: DatasetConfig, provenance: str, sha256: str, where: str) -> LoadedDataset:
    """The dataset that a configuration draws from all prompts that were found. Raises as `draw_prompts`.

    Args:
        provenance, sha256: of what was found, as a result tells them.
        where: the file or dataset, for messages.
    """
    prompts, caveats = draw_prompts(found, config, where)
    return LoadedDataset(
        name=config.name,
        provenance=provenance,
        sha256=sha256,
        prompts=prompts,
        available=len(found),
        caveats=caveats,
    )
