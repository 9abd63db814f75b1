"""The judge: what a tool asked for and told, against what the server saw. One rule for all."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bench.load.process import ToolFailedError
from bench.load.seen import Seen

PERCENTS = (50, 99)
"""Percentiles that are compared."""

FEWEST = 20
"""A run of fewer requests says nothing."""


LATENCIES = ("ttft", "itl", "tpot")
"""Time to first token; gaps between tokens, all requests' together; and their mean of each request."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """A tool's own account of a run.

    Attributes:
        latency_s: percentiles that it tells, by one of `LATENCIES` and by percent; those that it does not tell are left out.
        requests: how many its figures are of.
        failed: how many of them failed by its account.
        due_ns: when each request was to be sent (monotonic ns), by its mark; None where the tool does not tell it.
        marks: requests that its figures are of; None: all that it sent.
    """

    latency_s: Mapping[str, Mapping[int, float]]
    requests: int
    failed: int = 0
    due_ns: Mapping[str, int] | None = None
    marks: frozenset[str] | None = None


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A run, judged.

    Attributes:
        requests: how many arrived; first_ns, last_ns: when the first and the last did.
        rate_rps: at which they did.
        release_ms: how late each arrived, by the receiver's clock, behind the tool's own schedule (ms); None where it tells none.
        grid_ms: likewise behind the evenly spaced instants of a constant rate; None for other processes.
        gaps_ks: Kolmogorov-Smirnov distance of the gaps between arrivals from those asked for; None for a constant rate.
        ks_critical: the distance that 5 % of true processes exceed.
        error_ms: |told - true| of percentiles, by one of `LATENCIES` and by percent.
        ratio: told / true of the medians.
        server_sends_late_ms, server_reads_late_ms: how late the server itself was (p99).
    """

    requests: int
    first_ns: int
    last_ns: int
    rate_rps: float
    release_ms: Sequence[float] | None
    grid_ms: Sequence[float] | None
    gaps_ks: float | None
    ks_critical: float | None
    error_ms: Mapping[str, Mapping[int, float]]
    ratio: Mapping[str, float]
    server_sends_late_ms: float
    server_reads_late_ms: float


def judge(seen: Sequence[Seen], told: Told, arrival: str, rate_rps: float) -> Judged:
    """Judge one run.

    Args:
        seen: requests by arrival.
        told: what the tool says.
        arrival: `constant` or `poisson`.
        rate_rps: as asked.

    Raises:
        ToolFailedError: hardly anything arrived.
    """
    counted = seen if told.marks is None else [one for one in seen if one.mark in told.marks]
    answered = [one for one in counted if one.is_answered]
    if len(counted) < FEWEST or not answered:
        raise ToolFailedError(f"the server saw {len(counted)} of its requests and answered {len(answered)}")
    arrived = [one.arrived_ns for one in counted]
    gaps_s = [(later - earlier) / 1e9 for earlier, later in pairwise(arrived)]
    poisson, due_ns = arrival == "poisson", told.due_ns
    true_s = {
        "ttft": [one.ttft_s for one in answered],
        "itl": [gap for one in answered for gap in one.gaps_s],
        "tpot": [tpot for one in answered if (tpot := one.tpot_s) is not None],
    }
    sent = [(went - due) / 1e6 for one in answered for went, due in zip(one.sent_ns, one.due_ns, strict=True)]
    return Judged(
        requests=len(counted),
        first_ns=arrived[0],
        last_ns=arrived[-1],
        rate_rps=(len(arrived) - 1) * 1e9 / (arrived[-1] - arrived[0]),
        release_ms=None if due_ns is None else [(one.arrived_ns - due_ns[one.mark]) / 1e6 for one in counted],
        grid_ms=None if poisson else behind_grid(arrived, rate_rps),
        gaps_ks=exponential_distance(gaps_s, rate_rps) if poisson else None,
        ks_critical=1.358 / math.sqrt(len(gaps_s)) if poisson else None,
        error_ms={name: errors_ms(values, true_s[name]) for name, values in told.latency_s.items()},
        ratio={
            name: values[50] / percentile(true_s[name], 50) for name, values in told.latency_s.items() if 50 in values
        },
        server_sends_late_ms=percentile(sent, 99),
        server_reads_late_ms=percentile([(one.taken_ns - one.arrived_ns) / 1e6 for one in counted], 99),
    )


def behind_grid(arrived_ns: Sequence[int], rate_rps: float) -> list[float]:
    """Lateness of each arrival (ms) behind the evenly spaced instants of this rate that begin as early as makes none of them early.

    Nobody tells the first of these instants. So the tool gets the one that is best for it: of its own arrivals, the one that is
    earliest for its place is on time.
    """
    behind = [t_ns / 1e6 - place * 1e3 / rate_rps for place, t_ns in enumerate(t - arrived_ns[0] for t in arrived_ns)]
    earliest = min(behind)
    return [one - earliest for one in behind]


def exponential_distance(gaps_s: Sequence[float], rate_rps: float) -> float:
    """Kolmogorov-Smirnov distance of gaps from the exponential distribution of this rate: the largest difference of the two
    cumulative distributions."""
    n = len(gaps_s)
    below = [1 - math.exp(-rate_rps * gap) for gap in sorted(gaps_s)]
    return max(max((place + 1) / n - share, share - place / n) for place, share in enumerate(below))


def errors_ms(told_s: Mapping[int, float], true_s: Sequence[float]) -> dict[int, float]:
    """Distances of percentiles that a tool tells from those of the true times (ms)."""
    return {percent: abs(value - percentile(true_s, percent)) * 1e3 for percent, value in told_s.items()}


def percentiles(values: Sequence[float]) -> dict[int, float]:
    """Those that are compared."""
    return {percent: percentile(values, percent) for percent in PERCENTS}


def percentile(values: Sequence[float], percent: float) -> float:
    """By linear interpolation."""
    if len(values) == 1:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[round(percent) - 1]
