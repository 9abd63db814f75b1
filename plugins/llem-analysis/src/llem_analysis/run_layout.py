"""Runs by configuration with their cycles and places: what errors follow from it, whatever was measured."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from llem_analysis.covariates import Covariates
from llem_analysis.timeline import Timeline

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_MOST_RUNS = 1_500
"""Above so many runs each configuration's residuals count as independent of the others', which they are by then."""


class RunLayout:
    """The configuration of each run, and the time at which it was made.

    Args:
        cell: number of each run's configuration, of `size`; each has a run.
    """

    def __init__(self, cell: Ints, size: int, timeline: Timeline) -> None:
        import numpy as np

        self.cell, self.size, self.timeline = cell, size, timeline
        self.counts = np.bincount(cell, minlength=size)
        self.covariates = Covariates(cell, size, timeline.block, timeline.place)
        leverage = 1 / self.counts[cell] + self.covariates.quadratic(self.covariates.inverse)
        self.df = round(float(len(cell) - leverage.sum()))
        """Degrees of freedom that are left for the noise."""
        self.part: Floats = np.bincount(cell, weights=1 - leverage, minlength=size).astype(np.float64)
        """Each configuration's part of them."""
        self.own = self.part >= 0.5
        """A mask of the configurations that have a variance of their own."""

    @cached_property
    def in_blocks(self) -> RunLayout:
        """The same with cycles as the only covariates."""
        return self if self.timeline.place is None else RunLayout(self.cell, self.size, self.timeline.blocks)

    @cached_property
    def shared(self) -> Floats:
        """For each pair of configurations, half of the relative covariance of their variances' errors; 1 / df of each where they are many."""
        import numpy as np

        part = np.where(self.own, self.part, 1.0)
        if len(self.cell) > _MOST_RUNS:
            alone: Floats = 1 / part
            return alone
        columns = self.covariates.at(np.eye(self.covariates.width))
        same = self.cell[:, None] == self.cell[None, :]
        left = np.eye(len(self.cell)) - same / self.counts[self.cell] - columns.T @ self.covariates.inverse @ columns
        order = np.argsort(self.cell, kind="stable")
        starts = np.concatenate([[0], np.cumsum(self.counts)[:-1]])
        by_cell = np.add.reduceat((left**2)[order], starts, axis=0)
        squares = np.add.reduceat(by_cell[:, order], starts, axis=1)
        both: Floats = squares / np.outer(part, part)
        return both
