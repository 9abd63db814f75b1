"""The distribution of one quantity: moments and percentiles. Pure functions over numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from llem.results.models import Distribution

BEYOND = 10
"""A percentile stands where so many values lie beyond it: p90 of 100 values, p95 of 200, p99 of 1,000. The median has no tail
beyond it that could be missed, and stands always."""


def distribution(values: Iterable[float]) -> Distribution | None:
    """Mean, sample standard deviation, extremes and the percentiles 50, 90, 95 and 99, in the unit of the values.

    None where there are no values. A percentile of the tail is None where there are too few values for it (see `BEYOND`). The standard deviation, over n - 1, is None for a single one.
    """
    ordered = sorted(values)
    n = len(ordered)
    if n == 0:
        return None
    # The rounding of a mean may carry it past an extreme: of equal values it is that value.
    mean = min(max(math.fsum(ordered) / n, ordered[0]), ordered[-1])
    std = math.sqrt(math.fsum((value - mean) ** 2 for value in ordered) / (n - 1)) if n > 1 else None
    return Distribution(
        n=n,
        mean=mean,
        std=std,
        min=ordered[0],
        max=ordered[-1],
        p50=percentile(ordered, 50),
        p90=_tail(ordered, 90),
        p95=_tail(ordered, 95),
        p99=_tail(ordered, 99),
    )


def _tail(ordered: Sequence[float], percent: int) -> float | None:
    return percentile(ordered, percent) if stands(len(ordered), percent) else None


def stands(n: int, percent: int) -> bool:
    """True where at least `BEYOND` of n values lie beyond a percentile, on the side of its tail."""
    return n * min(percent, 100 - percent) >= BEYOND * 100


def percentile(ordered: Sequence[float], percent: float) -> float:
    """A percentile by linear interpolation: rank percent / 100 x (n - 1) between the values in order, counted from 0.

    Args:
        ordered: at least one value, ascending.
        percent: 0 to 100.
    """
    rank = percent / 100 * (len(ordered) - 1)
    below = math.floor(rank)
    if below + 1 >= len(ordered):
        return ordered[-1]
    low, high = ordered[below], ordered[below + 1]
    return min(low + (high - low) * (rank - below), high)
