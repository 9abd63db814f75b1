"""The 95 % interval of a share of requests that come in clusters: the parts of a window."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from llem_analysis import student
from llem_analysis.intervals import LEVEL

FEW = 5
"""Below so many parts an interval is wide, since their spread is hardly known, and says so. More of them are brought together, in so
many groups at the least: by themselves they hang together with their neighbours, and nine held the truth in 91 % of windows."""

TOGETHER = 10
"""Neighbouring parts of a group, where there are enough of them: what hangs together over an edge hangs together in one."""


@dataclass(frozen=True, slots=True)
class PartCount:
    """Requests of one part of a window.

    Attributes:
        requests: that arrived in it.
        kept: of these, those that keep all limits.
        above: of these, those whose latency, as a share of its limit, is above the median of the window's.
    """

    requests: int
    kept: int
    above: int = 0


@dataclass(frozen=True, slots=True)
class ShareInterval:
    """An interval of a share.

    Attributes:
        low, high: its ends, from 0 to 1.
        groups: parts, or groups of neighbouring ones, that it rests on.
        effective_requests: number of independent requests that would tell as much.
        note: what to know of it; None where there is nothing.
    """

    low: float
    high: float
    groups: int
    effective_requests: float
    note: str | None = None
    level: float = LEVEL


def share_interval(parts: Sequence[PartCount]) -> ShareInterval | None:
    """The interval of the share of requests that are kept; None where fewer than two parts have a request.

    Requests that arrive together wait together, so that a share varies more between parts than single requests would have it: its
    variance is that of a ratio over parts (Cochran, Sampling Techniques, 3rd edition, 1977, chapter 6), and its quotient by the variance of
    independent requests, the design effect, makes the requests fewer (Kish, Survey Sampling, 1965, chapter 8). The interval is Wilson's
    for so many requests, with Student's t for the parts, which stays within 0 and 1 and has a width where all are kept (Franco,
    Little, Louis and Slud, Comparative study of confidence intervals for proportions in complex sample surveys, Journal of Survey
    Statistics and Methodology 7, 2019). Few misses tell little of how they cluster, and none nothing. So the design effect is at least that of the
    share of requests above the median latency, which hang together in the same way and are many; and it is at least 1.
    """
    told = [part for part in _grouped(parts) if part.requests]
    groups, n = len(told), sum(part.requests for part in told)
    if groups < 2:
        return None
    counts = [part.requests for part in told]
    by_misses = _design_effect([part.kept for part in told], counts)
    by_median = _design_effect([part.above for part in told], counts)
    effective, t = n / max(1.0, by_misses, by_median), student.quantile(LEVEL, groups - 1)
    share = sum(part.kept for part in told) / n
    pull = t * t / effective
    middle = (share + pull / 2) / (1 + pull)
    half = math.sqrt(pull * (share * (1 - share) + pull / 4)) / (1 + pull)
    # At a share of 0 or 1 an end is that share, which rounding may miss.
    low, high = min(max(0.0, middle - half), share), max(min(1.0, middle + half), share)
    few = f"it rests on {groups} parts: below {FEW} their spread is hardly known, and the interval is wide"
    return ShareInterval(low, high, groups, effective, few if groups < FEW else None)


def _grouped(parts: Sequence[PartCount]) -> list[PartCount]:
    """Neighbouring parts together: each by itself up to `FEW`; then in so many groups, or a tenth as many as there are parts."""
    groups = min(len(parts), max(FEW, len(parts) // TOGETHER))
    edges = [len(parts) * place // groups for place in range(groups + 1)] if groups else []
    return [
        PartCount(
            sum(part.requests for part in parts[start:end]),
            sum(part.kept for part in parts[start:end]),
            sum(part.above for part in parts[start:end]),
        )
        for start, end in pairwise(edges)
    ]


def _design_effect(counts: Sequence[int], requests: Sequence[int]) -> float:
    """Variance of a share between parts over that of independent requests; 0 where the share is 0 or 1, and tells nothing."""
    n, m = sum(requests), len(requests)
    share = sum(counts) / n
    if share in (0.0, 1.0):
        return 0.0
    spread = math.fsum((count - share * total) ** 2 for count, total in zip(counts, requests, strict=True))
    return m / (m - 1) * spread / (share * (1 - share) * n)
