"""Counts that vLLM's server keeps on its page /metrics, under the names that the engine's own counts have."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

_STEPS = "vllm:iteration_tokens_total_count"
_FINISHED = "vllm:request_queue_time_seconds_count"
_QUEUED = "vllm:request_queue_time_seconds_sum"
_PREFILLED = "vllm:request_prefill_time_seconds_sum"

_COUNTS: Mapping[str, str] = {
    "steps": _STEPS,
    "preemptions": "vllm:num_preemptions_total",
    "prefix_cache_queried_tokens": "vllm:prefix_cache_queries_total",
    "prefix_cache_hit_tokens": "vllm:prefix_cache_hits_total",
    "drafted_tokens": "vllm:spec_decode_num_draft_tokens_total",
    "accepted_draft_tokens": "vllm:spec_decode_num_accepted_tokens_total",
}
"""Figures that are a count of the page as it stands. The page has no mean or highest use of cache and queue over a time."""

_LINE = re.compile(r"(?P<name>vllm:\w+)(?:\{.*\})? (?P<value>[0-9.eE+-]+)")


def counts_of(page: str) -> dict[str, float]:
    """Every count of the page by name, added up over engines and whatever else it is split by."""
    found: dict[str, float] = {}
    for line in page.splitlines():
        if match := _LINE.fullmatch(line):
            found[match["name"]] = found.get(match["name"], 0.0) + float(match["value"])
    return found


class ServerCounter:
    """The server's counts since the last reset.

    Args:
        read: gives the page's text.
    """

    def __init__(self, read: Callable[[], str]) -> None:
        self._read = read
        self._before: Mapping[str, float] = {}

    def figures(self, *, reset: bool = False) -> Mapping[str, float]:
        """The counts by name; a share is of 1, a time is in seconds. With `reset` it counts afresh from here."""
        now = counts_of(self._read())
        since = {name: value - self._before.get(name, 0.0) for name, value in now.items()}
        if reset:
            self._before = now
        if not since.get(_STEPS):
            return {}
        found = {name: since[count] for name, count in _COUNTS.items() if count in since}
        if queried := found.get("prefix_cache_queried_tokens"):
            found["prefix_cache_hit_share"] = found["prefix_cache_hit_tokens"] / queried
        if finished := since.get(_FINISHED):
            found["queue_mean_s"] = since[_QUEUED] / finished
            found["prefill_mean_s"] = since[_PREFILLED] / finished
        if drafted := found.get("drafted_tokens"):
            found["draft_acceptance_share"] = found["accepted_draft_tokens"] / drafted
        return found
