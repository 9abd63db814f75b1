"""Requests in flight over time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from llem_serving.requests import ServedRequest


class Step(NamedTuple):
    """From `t_ns` on, until the next step, `n` requests were in flight."""

    t_ns: int
    n: int


def in_flight(requests: Iterable[ServedRequest], since: Literal["scheduled", "released"] = "scheduled") -> list[Step]:
    """The number of requests in flight as a step series, each from its begin to its last token.

    A request that was never answered stays in flight. One that failed is in flight until it did, and not at all where nobody saw
    that.

    Args:
        since: `scheduled`: from its arrival, so that those which wait for the generator count; `released`: from its release, and
            one that was never released does not count.
    """
    changes: Counter[int] = Counter()
    for request in requests:
        begin = request.scheduled_ns if since == "scheduled" else request.released_ns
        end = request.last_ns if request.ended_ns is None else request.ended_ns
        if begin is None or (request.finish == "error" and end is None):
            continue
        changes[begin] += 1
        if end is not None and request.finish != "unanswered":
            changes[max(begin, end)] -= 1
    steps, n = [], 0
    for t_ns in sorted(changes):
        if changes[t_ns]:
            n += changes[t_ns]
            steps.append(Step(t_ns, n))
    return steps


def mean_in_flight(steps: Sequence[Step], open_ns: int, close_ns: int) -> float:
    """The mean over a stretch of time, by Little's law the rate of arrival times the mean stay. Raises ValueError without length."""
    if close_ns <= open_ns:
        raise ValueError("a mean over time takes a stretch of time")
    ends = [*steps, Step(max(close_ns, steps[-1].t_ns), 0)] if steps else []
    area = sum(
        one.n * max(0, min(following.t_ns, close_ns) - max(one.t_ns, open_ns)) for one, following in pairwise(ends)
    )
    return area / (close_ns - open_ns)
