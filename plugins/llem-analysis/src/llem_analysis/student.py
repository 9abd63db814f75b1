"""Student's t distribution: tail probability and quantile. Pure functions."""

from __future__ import annotations

import math
from functools import lru_cache

_TINY = 1e-300
_MOST_TERMS = 10_000


def two_sided_p(t: float, df: float) -> float:
    """P(|T| >= |t|) of Student's t with `df` degrees of freedom, which need not be whole.

    It is the regularised incomplete beta function I_x(df / 2, 1 / 2) at x = df / (df + t²) (Abramowitz and Stegun,
    Handbook of Mathematical Functions, 1964, 26.7.1).
    """
    if math.isinf(t):
        return 0.0
    ratio = abs(t) / math.sqrt(df)
    square = ratio * ratio
    return _beta_share(1 / (1 + square), square / (1 + square), df / 2, 0.5)


@lru_cache(maxsize=4096)
def quantile(level: float, df: float) -> float:
    """The t that |T| stays below with probability `level`: 4.303 for 0.95 and 2 degrees of freedom."""
    low, high = 0.0, 1.0
    while two_sided_p(high, df) > 1 - level:
        low, high = high, high * 2
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if two_sided_p(middle, df) > 1 - level:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _beta_share(x: float, rest: float, a: float, b: float) -> float:
    """I_x(a, b); `rest` is 1 - x, given apart so that a small one keeps its digits."""
    if x <= 0:
        return 0.0
    if rest <= 0:
        return 1.0
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(rest))
    # The fraction converges fast on this side of the distribution's middle; on the other its mirror does.
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(x, a, b) / a
    return 1 - front * _fraction(rest, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of the incomplete beta function (DLMF 8.17.22), evaluated by Lentz's method."""
    c, d = 1.0, 1 - (a + b) * x / (a + 1)
    d = 1 / (d if abs(d) > _TINY else _TINY)
    value = d
    for m in range(1, _MOST_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for coefficient in (even, odd):
            d = 1 + coefficient * d
            d = 1 / (d if abs(d) > _TINY else _TINY)
            c = 1 + coefficient / c
            c = c if abs(c) > _TINY else _TINY
            value *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return value
