"""The choice of n prompts from a dataset."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from llem.datasets.chat import as_asked
from llem.errors import DatasetError
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


def drawn_dataset(
    found: Sequence[Prompt], config: DatasetConfig, provenance: str, sha256: str, where: str
) -> LoadedDataset:
    """The dataset that a configuration draws from all prompts that were found: exactly `config.n` of them, as they are asked.

    Args:
        provenance, sha256: of what was found, as a result tells them.
        where: the file or dataset, for messages.

    Raises:
        DatasetError: there are fewer, or chats are to be cut.
    """
    drawn = draw(found, config, where)
    if config.input_tokens is not None and any(prompt.messages is not None for prompt in drawn):
        raise DatasetError(
            f"dataset.input_tokens is {config.input_tokens}, and chats are sent whole: cutting one would drop its question "
            "or its history.",
            where=where,
            remedy="Leave dataset.input_tokens out, shorten the chats, or name a field of text with dataset.field.",
        )
    prompts, caveats = as_asked(drawn)
    return LoadedDataset(
        name=config.name,
        provenance=provenance,
        sha256=sha256,
        prompts=prompts,
        available=len(found),
        caveats=caveats,
    )
