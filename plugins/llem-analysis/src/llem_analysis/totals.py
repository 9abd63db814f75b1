"""Total shares: the variance that is left in a figure while every other parameter is held. Exact, for complete designs.

T = E[Var(Y | all others)] (Homma and Saltelli, Reliability Engineering & System Safety 52, 1996), by averages over the
configurations that agree in everything else. A parameter that chooses the backend is judged on the averages over what
only one backend has, since those parameters do not exist without their backend.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llem_analysis.decomposition import Decomposition
from llem_analysis.margins import Margins

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def total_variance(split: Decomposition, name: str, margins: Margins) -> Floats:
    """The total variance of one parameter, for each sample."""
    import numpy as np

    found: Floats
    if name == split.space.gate:
        common = _common(split, name)
        # Of each backend the averages over what only it has, by the values of what backends have in common.
        means = np.stack(
            [
                (
                    margins.over(number, common) * (np.prod([grid.levels[n].size for n in common]) / grid.place.size)
                ).reshape(-1, margins.values.shape[1])
                for number, grid in enumerate(split.grids)
            ]
        )
        found = ((means - means.mean(axis=0)) ** 2).mean(axis=(0, 1))
        return found
    found = np.zeros(margins.values.shape[1])
    for number, grid in enumerate(split.grids):
        if grid.has(name):
            sums = margins.all_but(number, name).reshape(-1, margins.values.shape[1])
            between = np.einsum("ij,ij->j", sums, sums) / grid.levels[name].size
            found += grid.weight * (margins.squares(number) - between)
    return np.maximum(found, 0.0)


def total_noise(split: Decomposition, name: str, variances: Floats) -> float:
    """By how much `total_variance` is too large on average where the configurations' means have these variances."""
    import numpy as np

    if name == split.space.gate:
        means = 0.0
        for grid in split.grids:
            rows = np.prod([grid.levels[n].size for n in _common(split, name)])
            means += float(variances[grid.place].sum()) / (grid.place.size / rows) ** 2 / (rows * len(split.grids))
        return means * (1 - 1 / len(split.grids))
    there = [grid for grid in split.grids if grid.has(name)]
    whole = sum(float(variances[grid.place].sum()) * grid.weight for grid in there)
    return whole * (1 - 1 / max(grid.levels[name].size for grid in there))


def _common(split: Decomposition, gate: str) -> list[str]:
    """Parameters besides the one that chooses the backend, that all backends have."""
    return [name for name in split.space.levels if name != gate and all(grid.has(name) for grid in split.grids)]
