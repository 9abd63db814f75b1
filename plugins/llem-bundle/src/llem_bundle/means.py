"""Means over cycles with their 95 % intervals, by the definitions of the page on statistics and with nothing but numpy.

Like `recount`, it shares no code with what made the figures.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence

import numpy as np

LEVEL = 0.95


def mean_of(values: Sequence[float]) -> float:
    """The arithmetic mean."""
    return float(np.mean(np.array(values, dtype=np.float64)))


def deviation_of(values: Sequence[float]) -> float | None:
    """The sample standard deviation; None of a single value."""
    return float(np.std(np.array(values, dtype=np.float64), ddof=1)) if len(values) > 1 else None


def t_interval(values: Sequence[float]) -> tuple[float, float]:
    """mean ± t s / √n, of two values or more."""
    n, middle = len(values), mean_of(values)
    half = t_quantile(n - 1) * (deviation_of(values) or 0.0) / math.sqrt(n)
    return middle - half, middle + half


def bootstrap_interval(values: Sequence[float], resamples: int, seed: int) -> tuple[float, float]:
    """The expanded percentile interval of the mean, drawn again by the seed that stands beside it.

    The k-th draw of every resample is the k-th block of numbers of Python's Mersenne Twister: four bytes each, little-endian,
    times n and divided by 2**32.
    """
    n, middle = len(values), mean_of(values)
    ordered = np.sort(np.array(values, dtype=np.float64)) - middle
    generator = random.Random(seed)
    total = np.zeros(resamples)
    for _ in range(n):
        drawn = np.frombuffer(generator.randbytes(4 * resamples), dtype="<u4")
        total += ordered[np.floor(drawn.astype(np.float64) * (n / 2**32)).astype(np.int64)]
    tail = statistics.NormalDist().cdf(-math.sqrt(n / (n - 1)) * t_quantile(n - 1))
    low, high = np.quantile(total / n, [tail, 1 - tail])
    return (
        min(max(middle + float(low), min(values)), middle),
        max(min(middle + float(high), max(values)), middle),
    )


def t_quantile(degrees: int) -> float:
    """Student's t that 95 % of its distribution lie within, for whole degrees of freedom."""
    low, high = 0.0, 1000.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, degrees) < LEVEL else (low, middle)
    return (low + high) / 2


def _within(t: float, degrees: int) -> float:
    """The share of Student's distribution between -t and t: the finite sums in Abramowitz and Stegun, 26.7.3 and 26.7.4."""
    angle = math.atan(t / math.sqrt(degrees))
    cosine = math.cos(angle) ** 2
    term = math.cos(angle) if degrees % 2 else 1.0
    total = 0.0
    for k in range(degrees % 2, degrees - 1, 2):
        total += term
        term *= cosine * (k + 1) / (k + 2)
    if degrees % 2:
        return 2 / math.pi * (angle + math.sin(angle) * total)
    return math.sin(angle) * total
