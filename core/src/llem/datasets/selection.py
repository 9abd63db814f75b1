"""Which n prompts are drawn from a dataset."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from llem.errors import DatasetError

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
            f"it has {len(items):,} prompts; {config.n:,} are asked for.",
            where=where,
            remedy=f"Set dataset.n to {len(items):,} at most." if items else "Give a dataset with prompts.",
        )
    if not config.shuffle:
        return list(items[: config.n])
    order = list(range(len(items)))
    random.Random(config.seed).shuffle(order)
    return [items[i] for i in order[: config.n]]
