"""A trend over block means, tested with a correction for autocorrelation. Pure functions over numbers."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist

BLOCKS = 4
"""Blocks of each part, where it has values enough."""

IN_BLOCK = 5
"""Values that a block has at least."""

FEWEST = 6
"""Fewer block means than this do not tell an autocorrelation."""


@dataclass(frozen=True, slots=True)
class Trend:
    """A trend of block means.

    Attributes:
        score: of Mann and Kendall, a standard normal value where there is no trend; positive upwards.
        corrected: the same with the autocorrelation of what a straight line leaves taken into account.
        autocorrelation: between neighbouring block means; None where there are too few.
    """

    score: float
    corrected: float
    autocorrelation: float | None

    @property
    def p(self) -> float:
        """Two-sided, corrected."""
        return 2 * NormalDist().cdf(-abs(self.corrected))


def block_means(parts: Sequence[Sequence[float]]) -> list[float]:
    """The means of equal blocks of each part, in order: `BLOCKS` of each, fewer where values are few.

    Block means take most of the autocorrelation out of a series (Law and Carson, A sequential procedure for determining the
    length of a steady-state simulation, Operations Research 27, 1979). Parts without a value have no block.
    """
    told = [values for values in parts if len(values)]
    if not told:
        return []
    blocks = max(1, min(BLOCKS, min(len(values) for values in told) // IN_BLOCK))
    means = []
    for values in told:
        edges = [len(values) * place // blocks for place in range(blocks + 1)]
        means += [math.fsum(values[start:end]) / (end - start) for start, end in pairwise(edges)]
    return means


def trend_of(values: Sequence[float]) -> Trend:
    """The trend of values in order of time, by Mann and Kendall's test.

    The score is (S ± 1) / √var S with the variance for ties (Mann, Econometrica 13, 1945; Kendall, Rank Correlation Methods,
    1975). The correction multiplies the variance by (1 + r) / (1 - r), r being the positive autocorrelation at lag 1 of what a
    straight line leaves: the test modified by effective sample size (Yue and Wang, Water Resources Management 18, 2004).
    """
    n = len(values)
    if n < 3:
        return Trend(0.0, 0.0, None)
    s, earlier = 0, list[float]()
    for value in values:  # pairs that rise less pairs that fall, without a look at each pair
        below, upto = bisect_left(earlier, value), bisect_right(earlier, value)
        s += below - (len(earlier) - upto)
        earlier.insert(upto, value)
    ties = sum(t * (t - 1) * (2 * t + 5) for t in Counter(values).values())
    variance = (n * (n - 1) * (2 * n + 5) - ties) / 18
    if variance <= 0 or s == 0:
        return Trend(0.0, 0.0, autocorrelation(values) if n >= FEWEST else None)
    score = math.copysign(abs(s) - 1, s) / math.sqrt(variance)
    left = max(0.0, min(0.99, autocorrelation(_detrended(values))))
    return Trend(score, score / math.sqrt((1 + left) / (1 - left)), autocorrelation(values) if n >= FEWEST else None)


def autocorrelation(values: Sequence[float]) -> float:
    """The autocorrelation at lag 1; -1 / n, as expected of independent values, where they are all alike."""
    n = len(values)
    middle = math.fsum(values) / n
    off = [value - middle for value in values]
    spread = math.fsum(x * x for x in off)
    if spread <= (1e-9 * max(map(abs, values))) ** 2 * n:
        return -1 / n
    return math.fsum(a * b for a, b in pairwise(off)) / spread


def _detrended(values: Sequence[float]) -> list[float]:
    """The residuals of a straight line by least squares."""
    n = len(values)
    middle, half = math.fsum(values) / n, (n - 1) / 2
    slope = math.fsum((place - half) * (value - middle) for place, value in enumerate(values)) / (n * (n * n - 1) / 12)
    return [value - middle - slope * (place - half) for place, value in enumerate(values)]
