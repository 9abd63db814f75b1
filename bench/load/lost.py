"""Time that a machine takes from a program which computes a little and sleeps a little, while nothing else runs.

A host that gives a virtual core to others makes such a program slow for some ten milliseconds now and then, without telling it: no
generator on that machine is on time meanwhile. So the figures stand beside this one.
"""

from __future__ import annotations

import statistics
import time
from collections import Counter

from bench.load.judging import percentile

_STEP, _WINDOW_NS = 4000, 50_000_000


def lost_ms(seconds: float) -> float:
    """Milliseconds that are lost in 50 ms (p99 over such windows): time of a fixed computation beyond 1.5 times its median."""
    took: list[tuple[int, int]] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.0005)
        begun_ns = time.monotonic_ns()
        for _ in range(_STEP):
            pass
        took.append((begun_ns, time.monotonic_ns() - begun_ns))
    usual_ns = 1.5 * statistics.median(ns for _, ns in took)
    lost: Counter[int] = Counter()
    for begun_ns, ns in took:
        lost[begun_ns // _WINDOW_NS] += max(0, round(ns - usual_ns))
    return percentile([ns / 1e6 for ns in lost.values()], 99)
