"""The intervals of many means at once, as `intervals` has them one by one: what a report of thousands of configurations takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from llem_analysis import student
from llem_analysis.intervals import (
    BOOTSTRAP_FROM,
    BOOTSTRAP_TO,
    FEWEST,
    LEVEL,
    RESAMPLES,
    SEED,
    Interval,
    draws,
    expanded_tail,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_AT_ONCE = 1_000_000
"""Number of resampled means that are held together: bounds the memory."""

_COLUMNS = 1_000
"""Number of resamples whose counts are turned to floats together: likewise."""


def intervals_of(several: Sequence[Sequence[float]]) -> list[Interval | None]:
    """The interval to show of the mean of each; None for fewer than 3 values."""
    import numpy as np

    by_length: dict[int, list[int]] = {}
    for place, values in enumerate(several):
        by_length.setdefault(len(values), []).append(place)
    found: list[Interval | None] = [None] * len(several)
    for n, places in by_length.items():
        if n < FEWEST:
            continue
        of_length = np.array([several[place] for place in places], dtype=np.float64)
        of_n = _bootstrap(of_length) if BOOTSTRAP_FROM <= n <= BOOTSTRAP_TO else _student(of_length)
        for place, interval in zip(places, of_n, strict=True):
            found[place] = interval
    return found


def _middles(values: Floats) -> Floats:
    """Means, never outside of the range of their values."""
    import numpy as np

    found: Floats = np.clip(values.mean(axis=1), values.min(axis=1), values.max(axis=1))
    return found


def _student(values: Floats) -> list[Interval]:
    n, middle = values.shape[1], _middles(values)
    apart = values - middle[:, None]
    apart -= apart.mean(axis=1, keepdims=True)
    half = student.quantile(LEVEL, n - 1) * ((apart**2).sum(axis=1) / (n - 1)) ** 0.5 / math.sqrt(n)
    return [
        Interval(low, high, "t") for low, high in zip((middle - half).tolist(), (middle + half).tolist(), strict=True)
    ]


def _bootstrap(values: Floats) -> list[Interval]:
    import numpy as np

    n, middle = values.shape[1], _middles(values)
    differences = np.sort(values - middle[:, None], axis=1)
    # How often each resample has each value: in two bytes, since a thousand values of ten thousand resamples take much room.
    chosen = np.zeros((n, RESAMPLES), dtype=np.uint16)
    numbers = np.arange(RESAMPLES)
    for drawn in draws(n, RESAMPLES, SEED):
        chosen[drawn.to_numpy(), numbers] += 1
    tail = expanded_tail(n)
    low, high = [], []
    many = max(1, _AT_ONCE // RESAMPLES)
    for start in range(0, len(values), many):
        means = _means(differences[start : start + many], chosen)
        low.append(_quantile(means, tail))
        high.append(_quantile(means, 1 - tail))
    lows = np.minimum(np.maximum(middle + np.concatenate(low), values.min(axis=1)), middle)
    highs = np.maximum(np.minimum(middle + np.concatenate(high), values.max(axis=1)), middle)
    return [
        Interval(a, b, "bootstrap", resamples=RESAMPLES, seed=SEED)
        for a, b in zip(lows.tolist(), highs.tolist(), strict=True)
    ]


def _means(differences: Floats, chosen: NDArray[np.uint16]) -> Floats:
    """The mean of each resample (a column) of each row's values."""
    import numpy as np

    n, resamples = chosen.shape
    found: Floats = np.empty((len(differences), resamples))
    for start in range(0, resamples, _COLUMNS):
        part = slice(start, start + _COLUMNS)
        found[:, part] = differences @ chosen[:, part].astype(np.float64) / n
    return found


def _quantile(means: Floats, share: float) -> Floats:
    """The quantile of each row, between two of its values linearly. The rows lose their order."""

    at = share * (means.shape[1] - 1)
    below = min(math.floor(at), means.shape[1] - 2)
    means.partition((below, below + 1), axis=1)
    found: Floats = means[:, below] + (at - below) * (means[:, below + 1] - means[:, below])
    return found
