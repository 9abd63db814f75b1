"""The variance between configurations, split into effects of parameters, interactions of two, and the rest.

The measure is that of a design in which every value of a parameter counts the same: backends share the whole equally, and
within a backend so do the values of its own parameters, whatever the number of configurations. Under it a figure is the sum of
its mean, an effect for each parameter, interactions of two, and so on, all uncorrelated (functional ANOVA: Sobol', Sensitivity
estimates for nonlinear mathematical models, 1993; parameters that only one backend has are nested in it, as in a nested
analysis of variance). Every effect is a sum of means over the configurations that have certain values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from llem_analysis.margins import Grid, Margins, grids_of
from llem_analysis.space import Space

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Term:
    """An effect of one parameter or the interaction of two, of a complete design.

    Attributes:
        members: parameter names, in the order of the grids' axes.
        values: of each member, the value indices that it takes where all members are there.
        weight: share of the measure that has these parameters: below 1 for what is nested in one backend.
    """

    members: tuple[str, ...]
    values: tuple[Ints, ...]
    grids: tuple[Grid, ...]
    weight: float

    def variance(self, margins: Margins) -> Floats:
        """The variance that it adds, for each sample."""
        sums, measure = self._sums(margins), self._measure[..., None]
        found: Floats
        if len(self.members) == 1:
            found = self.weight * ((sums / measure - _mean(sums, measure, (0,))) ** 2).mean(axis=0)
            return found
        effects = (
            sums / measure - _mean(sums, measure, (1,)) - _mean(sums, measure, (0,)) + _mean(sums, measure, (0, 1))
        )
        found = self.weight * (effects**2).mean(axis=(0, 1))
        return found

    def noise(self, margins: Margins) -> float:
        """By how much `variance` is too large on average.

        Args:
            margins: of the variances of the configurations' means.
        """
        # With the mean over a cell, a row, a column and all as indicators divided by their measures, the products of two of
        # these are nonzero where both are: that of a cell with its row over the cell, and so on.
        own, measure = self._sums(margins, power=2)[..., 0], self._measure
        whole = own.sum() / measure.sum() ** 2
        if len(self.members) == 1:
            return float(self.weight * (own / measure**2 - 2 * own / (measure * measure.sum()) + whole).mean())
        rows, columns = measure.sum(axis=1, keepdims=True), measure.sum(axis=0, keepdims=True)
        in_rows, in_columns, every = own.sum(axis=1, keepdims=True), own.sum(axis=0, keepdims=True), measure.sum()
        cells = own * (
            1 / measure**2
            - 2 / (measure * rows)
            - 2 / (measure * columns)
            + 2 / (measure * every)
            + 2 / (rows * columns)
        )
        edges = in_rows * (1 / rows**2 - 2 / (rows * every)) + in_columns * (1 / columns**2 - 2 / (columns * every))
        return float(self.weight * (cells + edges + whole).mean())

    @cached_property
    def _measure(self) -> Floats:
        """Measure of the configurations with each combination of values."""
        import numpy as np

        found = np.zeros([one.size for one in self.values])
        for _, grid, at in self._parts():
            size = np.prod([grid.levels[name].size for name in self.members])
            found[at] += grid.weight * grid.place.size / size
        return found

    def _sums(self, margins: Margins, power: int = 1) -> Floats:
        """Sums over the configurations with each combination of values, each weighed by a power of its measure."""
        import numpy as np

        found = np.zeros([*(one.size for one in self.values), margins.values.shape[1]])
        for number, grid, at in self._parts():
            found[at] += grid.weight**power * margins.over(number, self.members)
        return found

    def _parts(self) -> list[tuple[int, Grid, tuple[Ints, ...]]]:
        """The grids that have all members, with the places of their values in `values`."""
        import numpy as np

        return [
            (
                number,
                grid,
                np.ix_(
                    *(
                        np.searchsorted(one, grid.levels[name])
                        for name, one in zip(self.members, self.values, strict=True)
                    )
                ),
            )
            for number, grid in enumerate(self.grids)
            if all(grid.has(name) for name in self.members)
        ]


def _mean(sums: Floats, measure: Floats, axes: tuple[int, ...]) -> Floats:
    found: Floats = sums.sum(axis=axes, keepdims=True) / measure.sum(axis=axes, keepdims=True)
    return found


@dataclass(frozen=True)
class Decomposition:
    """The terms of one figure's variance over a complete design.

    Attributes:
        terms: by their members.
        measure: weight of each configuration.
    """

    space: Space
    grids: tuple[Grid, ...]
    terms: Mapping[tuple[str, ...], Term]
    measure: Floats

    def margins(self, values: Floats) -> Margins:
        """Sums of values, (configurations, samples), over the design."""
        return Margins(self.grids, values)


def decompose(space: Space) -> Decomposition | None:
    """Split by exact averages; None where a combination is missing, since then no split is that of the study alone."""
    import numpy as np

    grids = grids_of(space)
    if grids is None:
        return None
    measure = np.zeros(space.size)
    for grid in grids:
        measure[grid.place] = grid.weight
    members = [(name,) for name in space.levels] + [pair for pair in space.pairs() if space.grid(pair) is not None]
    return Decomposition(space, grids, {one: _term(space, grids, one) for one in members}, measure)


def _term(space: Space, grids: tuple[Grid, ...], members: Sequence[str]) -> Term:
    import numpy as np

    inside = space.within(members)
    values = tuple(np.unique(space.levels[name][inside]) for name in members)
    return Term(tuple(members), values, grids, space.weight(members))
