"""What every dataset does with `DatasetConfig`: which fields it knows, and which n prompts are drawn."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import TypeVar

from llem.config.experiment import DatasetConfig
from llem.errors import DatasetError

T = TypeVar("T")

_SOME_ONLY = ("path", "field", "split", "revision", "shuffle")
"""Fields that mean nothing to some dataset. All other fields of `DatasetConfig` mean something to all."""


def refuse_unused(config: DatasetConfig, used: Iterable[str]) -> None:
    """Refuse fields that were set but have no effect on this dataset.

    Args:
        used: those of `path`, `field`, `split`, `revision` and `shuffle` that the dataset takes.

    Raises:
        DatasetError: names the fields.
    """
    defaults = DatasetConfig()
    idle = [name for name in _SOME_ONLY if name not in used and getattr(config, name) != getattr(defaults, name)]
    if idle:
        raise DatasetError(
            f"{', '.join(idle)} {'has' if len(idle) == 1 else 'have'} no effect on the dataset `{config.name}`.",
            where=f"dataset.{idle[0]}",
            remedy="Leave it out." if len(idle) == 1 else "Leave them out.",
        )


def draw(items: Sequence[T], config: DatasetConfig, where: str) -> list[T]:
    """Exactly `config.n` items: the first ones, or with `shuffle` a seeded random draw without repetition.

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
