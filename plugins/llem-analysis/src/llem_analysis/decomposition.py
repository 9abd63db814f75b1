"""The variance between configurations, split into effects of parameters, interactions of two, and the rest.

The measure is that of a design in which every value of a parameter counts the same: backends share the whole equally, and
within a backend so do the values of its own parameters, whatever the number of configurations. Under it a figure is the sum of
its mean, an effect for each parameter, interactions of two, and so on, all uncorrelated (functional ANOVA: Sobol', Sensitivity
estimates for nonlinear mathematical models, 1993; parameters that only one backend has are nested in it, as in a nested
analysis of variance). Every effect is a linear map of the configurations' means, kept as a matrix.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

from llem_analysis.space import Decomposition, Space, Term

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def decompose(space: Space) -> Decomposition | None:
    """Split by exact averages; None where a combination is missing, since then no split is that of the study alone."""
    measure = _complete_measure(space)
    if measure is None:
        return None
    members = [(name,) for name in space.levels] + [pair for pair in space.pairs() if space.grid(pair) is not None]
    return Decomposition(space, {one: _averages(space, measure, one) for one in members}, measure)


def _complete_measure(space: Space) -> Floats | None:
    """Each configuration's weight where every combination of values is there exactly once; else None."""
    import numpy as np

    if not space.levels:
        return None
    strata = np.zeros(space.size, dtype=np.int64) if space.gate is None else space.levels[space.gate]
    common = [name for name, column in space.levels.items() if (column >= 0).all() and name != space.gate]
    sets = {name: np.unique(space.levels[name]) for name in common}
    numbers = np.unique(strata)
    measure = np.zeros(space.size)
    for stratum in numbers:
        inside = strata == stratum
        expected = 1
        for name, column in space.levels.items():
            if name == space.gate:
                continue
            here = np.unique(column[inside])
            if name in sets and here.size != sets[name].size:
                return None
            expected *= here.size
        rows = np.stack([column[inside] for column in space.levels.values()], axis=1)
        if rows.shape[0] != expected or np.unique(rows, axis=0).shape[0] != expected:
            return None
        measure[inside] = 1 / (numbers.size * expected)
    return measure


def _averages(space: Space, measure: Floats, members: tuple[str, ...]) -> Term:
    import numpy as np

    inside = space.within(members)
    columns = [space.levels[name] for name in members]
    cells = tuple(product(*(sorted({int(v) for v in column[inside]}) for column in columns)))

    def mean_where(chosen: Any) -> Any:
        row = np.where(chosen & inside, measure, 0.0)
        return row / row.sum()

    whole = mean_where(inside)
    single = [{int(v): mean_where(column == v) for v in np.unique(column[inside])} for column in columns]
    effects = []
    for cell in cells:
        if len(members) == 1:
            effects.append(single[0][cell[0]] - whole)
        else:
            mean = mean_where((columns[0] == cell[0]) & (columns[1] == cell[1]))
            effects.append(mean - single[0][cell[0]] - single[1][cell[1]] + whole)
    return Term(members, cells, np.array(effects), space.weight(members))
