"""The limits of the objectives, kept or not by one request."""

from __future__ import annotations

import math
from collections.abc import Iterator

from llem_serving.config import SloConfig
from llem_serving.judging.latency import answered, e2e_s, tpot_s, ttft_s
from llem_serving.requests import ServedRequest


def worst_ratio(request: ServedRequest, slo: SloConfig) -> float:
    """The largest of a request's latencies over its limit: it keeps them all up to 1. 0 where no limit is set.

    Infinite for a request that failed or has no whole answer, which misses every objective, and where a time that has a limit was
    not seen. One token has no TPOT and keeps any limit of it.
    """
    if not answered(request):
        return math.inf
    return max(_ratios(request, slo), default=0.0)


def keeps(request: ServedRequest, slo: SloConfig) -> bool:
    """True where the request is answered and keeps all limits."""
    return worst_ratio(request, slo) <= 1


def unseen(request: ServedRequest, slo: SloConfig) -> bool:
    """True where an answered request lacks a time that a limit is of."""
    return answered(request) and math.isinf(worst_ratio(request, slo))


def _ratios(request: ServedRequest, slo: SloConfig) -> Iterator[float]:
    if slo.ttft_s is not None:
        yield _ratio(ttft_s(request), slo.ttft_s)
    if slo.tpot_s is not None:
        yield _ratio(0.0 if request.output_tokens == 1 else tpot_s(request), slo.tpot_s)
    if slo.e2e_s is not None:
        yield _ratio(e2e_s(request), slo.e2e_s)


def _ratio(seen: float | None, limit: float) -> float:
    """Above 1 exactly where the limit is exceeded: a quotient may round to 1."""
    if seen is None:
        return math.inf
    ratio = seen / limit
    return max(ratio, math.nextafter(1.0, 2.0)) if seen > limit else min(ratio, 1.0)
