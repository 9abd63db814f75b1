"""Percentiles of latencies, as far as there are values enough for them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from llem.plugin_api import stands


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Percentiles of `n` values; None where fewer than ten values lie beyond one (p99: 1,000 values)."""

    n: int
    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None


def percentiles(values: Iterable[float]) -> Percentiles:
    """The percentiles 50, 90, 95 and 99 by linear interpolation (METHOD.md, "Latency" and "Statistics")."""
    ordered = sorted(values)
    n = len(ordered)
    p50, p90, p95, p99 = (interpolated(ordered, p) if stands(n, p) else None for p in (50, 90, 95, 99))
    return Percentiles(n, p50, p90, p95, p99)


def interpolated(ordered: Sequence[float], percent: float) -> float:
    """A percentile of one value or more in ascending order: rank percent / 100 × (n - 1), counted from 0."""
    rank = percent / 100 * (len(ordered) - 1)
    below = math.floor(rank)
    if below + 1 >= len(ordered):
        return ordered[-1]
    low, high = ordered[below], ordered[below + 1]
    return min(low + (high - low) * (rank - below), high)
