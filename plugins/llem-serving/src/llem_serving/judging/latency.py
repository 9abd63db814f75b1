"""Latencies of one request, from its scheduled arrival, so that a late generator never flatters the server."""

from __future__ import annotations

from llem_serving.requests import ServedRequest

ANSWERED = frozenset({"length", "stop"})
"""Ways to finish that are an answer."""


def answered(request: ServedRequest) -> bool:
    """True where the whole answer came."""
    return request.finish in ANSWERED


def ttft_s(request: ServedRequest) -> float | None:
    """Time to first token: first token - arrival (METHOD.md, "Latency"). None where it was not seen."""
    return None if request.first_ns is None else (request.first_ns - request.scheduled_ns) / 1e9


def tpot_s(request: ServedRequest) -> float | None:
    """Time per output token: (last - first) / (output tokens - 1). None for one token, and where it was not seen, as of an
    answer that came at one instant."""
    if request.first_ns is None or request.last_ns is None or request.output_tokens < 2:
        return None
    if request.last_ns == request.first_ns:
        return None
    return (request.last_ns - request.first_ns) / 1e9 / (request.output_tokens - 1)


def e2e_s(request: ServedRequest) -> float | None:
    """End to end: last token - arrival, of a whole answer. None where there is none."""
    if request.last_ns is None or not answered(request):
        return None
    return (request.last_ns - request.scheduled_ns) / 1e9
