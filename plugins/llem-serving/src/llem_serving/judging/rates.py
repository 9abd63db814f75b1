"""Rates of a load: what was offered, and what was achieved."""

from __future__ import annotations

from collections.abc import Iterable

from llem_serving.judging.latency import answered
from llem_serving.judging.window import Window
from llem_serving.requests import ServedRequest


def offered_rps(requests: Iterable[ServedRequest], open_ns: int, close_ns: int) -> float:
    """Arrivals in the window over its length. Raises ValueError where it has none."""
    window = Window(open_ns, close_ns)
    return sum(window.arrives_inside(one.scheduled_ns) for one in requests) / window.length_s


def achieved_rps(requests: Iterable[ServedRequest], open_ns: int, close_ns: int) -> float:
    """Answers whose last token came in the window over its length, whenever they arrived. Raises ValueError where it has none."""
    window = Window(open_ns, close_ns)
    return sum(answered(one) and window.ends_inside(one.last_ns) for one in requests) / window.length_s
