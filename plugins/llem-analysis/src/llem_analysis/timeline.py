"""The order in which runs were made, read from their cycles and positions: what it lets an analysis tell apart.

A cycle is a block where each cycle ran before the next one. The place in the cycle is a covariate where configurations
changed their places from cycle to cycle, as under the orders `shuffled`, `reversed` and `latin_square`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from llem_analysis.covariates import Covariates

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

Order = Literal["changing places", "fixed places", "one after another", "unknown", "one cycle"]

_APART = 0.2
"""The place enters where at least this share of its variance is left within configurations and cycles."""

_FEWEST_DF = 4
"""It enters only where so many degrees of freedom stay for the noise."""


@dataclass(frozen=True)
class Timeline:
    """Times at which runs were made.

    Attributes:
        order: `changing places`: whole cycles, each in another order; `fixed places`: whole cycles, each in the same order;
            `one after another`: all cycles of a configuration before the next one.
        block: number of each run's block, from 0; all are of one block where cycles are none.
        place: each run's place in the cycle, from 0 (first) to 1 (last), where it is a covariate; else None.
        when: each run's place in its cycle, or under `one after another` in the study, from 0 to 1; None where it is not known.
    """

    order: Order
    block: Ints
    place: Floats | None
    when: Floats | None

    @property
    def blocks(self) -> Timeline:
        """The same with cycles as the only covariates."""
        return self if self.place is None else replace(self, place=None)


def timeline(cell: Ints, cycles: Sequence[int], positions: Sequence[int | None], size: int) -> Timeline:
    """The timeline of runs of `size` configurations."""
    import numpy as np

    names, number = np.unique(np.array(cycles, dtype=np.int64), return_inverse=True)
    none = np.zeros(len(number), dtype=np.int64)
    at = np.array([np.nan if p is None else p for p in positions], dtype=np.float64)
    known = not bool(np.isnan(at).any())
    if names.size < 2:
        return Timeline("one cycle", none, None, _scaled(at) if known else None)
    block = number.astype(np.int64)
    if not known:
        return Timeline("unknown", block, None, None)
    first, last = np.full(names.size, np.inf), np.full(names.size, -np.inf)
    np.minimum.at(first, block, at)
    np.maximum.at(last, block, at)
    inner = np.argsort(first)
    if size > 1 and (last[inner][:-1] >= first[inner][1:]).any():
        return Timeline("one after another", none, None, _scaled(at))
    length = float((last - first).max()) or 1.0
    place = (at - first[block]) / length
    left = Covariates(cell, size, block).residual(place)
    if float((left**2).sum()) < _APART * float(((place - place.mean()) ** 2).sum()):
        return Timeline("fixed places", block, None, place)
    if len(block) - size - names.size < _FEWEST_DF:
        return Timeline("changing places", block, None, place)
    return Timeline("changing places", block, place, place)


def _scaled(at: Floats) -> Floats:
    wide = float(at.max() - at.min()) or 1.0
    found: Floats = (at - at.min()) / wide
    return found
