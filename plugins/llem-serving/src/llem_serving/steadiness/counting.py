"""Completions against arrivals, with the noise that counting has. Pure functions over parts."""

from __future__ import annotations

import math
from collections.abc import Sequence

from llem_serving.steadiness.part import IN_A_ROW, LoadPart


def shortfall(parts: Sequence[LoadPart], arrival_cv2: float = 1.0) -> float:
    """Arrivals less completions in standard deviations of counting noise; positive where throughput stays behind.

    It is the score by which two Poisson counts are told apart, (a - d) / √(a + d) (Przyborowski and Wilenski, Homogeneity of
    results in testing samples from Poisson series, Biometrika 31, 1940, in its normal form). In a steady state departures of a
    queue with Poisson arrivals are Poisson at the rate of arrival (Burke, The output of a queuing system, Operations Research
    4, 1956), and follow arrivals, so that the score stays nearer to 0 than a standard normal one.

    Args:
        arrival_cv2: squared coefficient of variation of the gaps of arrival: counts of a renewal process vary by this factor more
            than those of a Poisson process. Below 1 nothing is taken off, since completions keep their own noise.
    """
    came, went = sum(part.arrivals for part in parts), sum(part.completions for part in parts)
    noise = came * max(1.0, arrival_cv2) + went
    return (came - went) / math.sqrt(noise) if noise else 0.0


def dispersion_p(parts: Sequence[LoadPart], arrival_cv2: float = 1.0) -> float:
    """The probability that completions given arrivals differ between three parts at least as much as these do, by counting noise.

    Cochran's dispersion test (Some methods for strengthening the common χ² tests, Biometrics 10, 1954) on the differences of
    arrivals and completions: Σ (x - x̄ weighted)² / v over the parts with v = a + d has a χ² distribution with 2 degrees of
    freedom, the tail of which is exp(-x / 2).

    Args:
        parts: three.
        arrival_cv2: as in `shortfall`.

    Raises:
        ValueError: these are not three parts.
    """
    if len(parts) != IN_A_ROW:
        raise ValueError(f"the test is of three parts, and these are {len(parts)}")
    noise = [part.arrivals * max(1.0, arrival_cv2) + part.completions for part in parts]
    told = [
        (part.arrivals - part.completions, variance) for part, variance in zip(parts, noise, strict=True) if variance
    ]
    if not told:
        return 1.0
    # Each difference has an expectation in proportion to its part's traffic: the same relative shortfall throughout.
    rate = sum(difference for difference, _ in told) / sum(variance for _, variance in told)
    spread = sum((difference - rate * variance) ** 2 / variance for difference, variance in told)
    return math.exp(-spread / 2)
