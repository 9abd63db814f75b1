"""Total shares: the variance that is left in a figure while every other parameter is held. Exact, for complete designs.

T = E[Var(Y | all others)] (Homma and Saltelli, Reliability Engineering & System Safety 52, 1996), by averages over the
configurations that agree in everything else. A parameter that chooses the backend is judged on the averages over what
only one backend has, since those parameters do not exist without their backend.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llem_analysis.space import Space

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def total_variance(space: Space, measure: Floats, name: str, values: Floats) -> Floats:
    """The total variance of one parameter for each column of (configurations, samples), of a complete design."""
    import numpy as np

    group, weight, rows = _groups(space, measure, name)
    values = _collapse(rows, values) if rows is not None else values
    order = np.argsort(group, kind="stable")
    order = order[weight[order] > 0]
    size = int(np.bincount(group[order]).max())
    blocks = values[order].reshape(-1, size, values.shape[1])
    spread = (blocks - blocks.mean(axis=1, keepdims=True)) ** 2
    found: Floats = (spread * weight[order].reshape(-1, size, 1)).sum(axis=(0, 1))
    return found


def total_noise(space: Space, measure: Floats, name: str, variances: Floats) -> float:
    """By how much `total_variance` is too large on average where the configurations' means have these variances."""
    import numpy as np

    group, weight, rows = _groups(space, measure, name)
    if rows is not None:
        share = 1 / np.bincount(rows)[rows]
        variances = np.bincount(rows, weights=variances * share**2).astype(np.float64)
    inside = weight > 0
    size = int(np.bincount(group[inside]).max())
    return float((weight * variances)[inside].sum() * (1 - 1 / size))


def _groups(space: Space, measure: Floats, name: str) -> tuple[NDArray[np.int64], Floats, NDArray[np.int64] | None]:
    """Groups of agreeing configurations, their weights, and where the gate is judged, the average that each belongs to."""
    import numpy as np

    others = [n for n in space.levels if n != name]
    if name == space.gate:
        common = [n for n in others if (space.levels[n] >= 0).all()]
        rows = _numbered([space.levels[n] for n in (name, *common)], space.size)
        first = np.unique(rows, return_index=True)[1]
        group = _numbered([space.levels[n][first] for n in common], first.size)
        weight: Floats = np.bincount(rows, weights=measure).astype(np.float64)
        return group, weight, rows
    group = _numbered([space.levels[n] for n in others], space.size)
    return group, np.where(space.levels[name] >= 0, measure, 0.0), None


def _numbered(columns: list[NDArray[np.int64]], size: int) -> NDArray[np.int64]:
    import numpy as np

    if not columns:
        return np.zeros(size, dtype=np.int64)
    found: NDArray[np.int64] = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)[1].reshape(-1)
    return found


def _collapse(rows: NDArray[np.int64], values: Floats) -> Floats:
    import numpy as np

    total = np.zeros((int(rows.max()) + 1, values.shape[1]))
    np.add.at(total, rows, values)
    found: Floats = total / np.bincount(rows)[:, None]
    return found
