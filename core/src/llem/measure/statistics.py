"""The distribution of one quantity: moments and percentiles. Pure functions over numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from llem.results.models import Distribution


def distribution(values: Iterable[float]) -> Distribution | None:
    """Mean, sample standard deviation, extremes and the percentiles 50, 90, 95 and 99, in the unit of the values.

    None where there are no values. The standard deviation, over n - 1, is None for a single one.
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
        p90=percentile(ordered, 90),
        p95=percentile(ordered, 95),
        p99=percentile(ordered, 99),
    )


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
