"""The order in which runs were made, read from their cycles and positions: what it lets an analysis tell apart.

A cycle is a block where each cycle ran before the next one. The place in the cycle is a covariate where configurations
changed their places from cycle to cycle, as under the orders `shuffled`, `reversed` and `latin_square`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

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
        columns: of the covariates: (runs, covariates).
        place: which column is the place in the cycle, from 0 (first) to 1 (last); None where it is none.
        when: each run's place in its cycle, or under `one after another` in the study, from 0 to 1; None where it is not known.
    """

    order: Order
    columns: Floats
    place: int | None
    when: Floats | None

    @property
    def blocks(self) -> Timeline:
        """The same with cycles as the only covariates."""
        return self if self.place is None else replace(self, columns=self.columns[:, : self.place], place=None)


def timeline(cell: NDArray[np.int64], cycles: Sequence[int], positions: Sequence[int | None], size: int) -> Timeline:
    """The timeline of runs of `size` configurations."""
    import numpy as np

    numbers = np.array(cycles, dtype=np.int64)
    names, number = np.unique(numbers, return_inverse=True)
    none = np.zeros((len(numbers), 0))
    at = np.array([np.nan if p is None else p for p in positions], dtype=np.float64)
    known = not bool(np.isnan(at).any())
    if names.size < 2:
        when = _scaled(at) if known else None
        return Timeline("one cycle", none, None, when)
    blocks = (number[:, None] == np.arange(1, names.size)[None, :]).astype(np.float64)
    if not known:
        return Timeline("unknown", blocks, None, None)
    first = np.array([at[number == k].min() for k in range(names.size)])
    last = np.array([at[number == k].max() for k in range(names.size)])
    inner = np.argsort(first)
    if size > 1 and (last[inner][:-1] >= first[inner][1:]).any():
        return Timeline("one after another", none, None, _scaled(at))
    length = float((last - first).max()) or 1.0
    place = (at - first[number]) / length
    left = _within(place, cell, blocks, size)
    if float((left**2).sum()) < _APART * float(((place - place.mean()) ** 2).sum()):
        return Timeline("fixed places", blocks, None, place)
    df = len(numbers) - size - names.size
    if df < _FEWEST_DF:
        return Timeline("changing places", blocks, None, place)
    return Timeline("changing places", np.hstack([blocks, place[:, None]]), names.size - 1, place)


def _scaled(at: Floats) -> Floats:
    wide = float(at.max() - at.min()) or 1.0
    found: Floats = (at - at.min()) / wide
    return found


def _within(values: Floats, cell: NDArray[np.int64], blocks: Floats, size: int) -> Floats:
    """Residuals of values after configurations and cycles."""
    import numpy as np

    both = np.hstack([values[:, None], blocks])
    middle = np.zeros((size, both.shape[1]))
    np.add.at(middle, cell, both)
    inside = both - (middle / np.bincount(cell, minlength=size)[:, None])[cell]
    slopes = np.linalg.lstsq(inside[:, 1:], inside[:, 0], rcond=None)[0]
    found: Floats = inside[:, 0] - inside[:, 1:] @ slopes
    return found
