"""A server that stops for a while, and the two generators: one that waits for it, and one that does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from sim.serving.arrivals import Ints, S
from sim.serving.path import Path, Serve, ShiftedTokens


def stopped(serve: Serve, scheduled: Ints, at: int, stops_ns: int = 2 * S) -> Path:
    """The path through a server that does nothing from `at` on for `stops_ns`, and then goes on where it was.

    Exact for every server: its own clock stands still in the meantime, and who arrives then arrives at one instant of it.
    What would have happened at the instant of the stop happens after it. Power stays as it was.
    """
    path = serve(np.where(scheduled > at, np.maximum(scheduled - stops_ns, at), scheduled))

    def later(t: Ints) -> Ints:
        return np.where(t >= at, t + stops_ns, t)

    return replace(
        path,
        scheduled=scheduled,
        released=scheduled,
        started=later(path.started),
        first=later(path.first),
        last=later(path.last),
        times=ShiftedTokens(path.times, at, stops_ns),
        power=path.power.shifted(at, stops_ns),
    )


def coordinated(serve: Callable[[Ints], Path], scheduled: Ints) -> Ints:
    """Times at which a generator releases that waits for each answer before the next request: coordinated omission.

    Latencies that are counted from these times hide a stop of the server; `Path.scheduled_at` counts from the schedule.
    """
    released = scheduled.copy()
    for i in range(1, len(released)):
        released[i] = max(int(scheduled[i]), int(serve(released[:i]).last.max()))
    return released
