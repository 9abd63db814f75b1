"""Signs of life: rare events that say how far a phase is. Inside the window at most two a second, each some microseconds."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from llem.results.job_directory import EventLog
from llem.specs.scenario import Answer

PERIOD_S = 0.5
"""The shortest time between two progress events of the window or of warm-up."""

REST_PERIOD_S = 1.0
"""Time between two progress events of a phase that only waits."""


def rest(events: EventLog, phase: str, seconds: float) -> None:
    """Sleep, and say now and then that the phase goes on."""
    start = time.monotonic()
    while (left := start + seconds - time.monotonic()) > 0:
        time.sleep(min(left, REST_PERIOD_S))
        done = min(seconds, time.monotonic() - start)
        events.append("progress", phase=phase, done=round(done, 1), total=seconds, unit="s")


class Progress:
    """Tells how many requests were answered, at which speed and power.

    Args:
        events: where it is told.
        phase: the phase that runs.
        power: mean power in W for an interval in ns, or None.
        total: requests in all; for a window, of one pass.
        open_ns: when the phase (the window) began.
        minimum_s: a window goes on at least so long; the total grows with it.
    """

    def __init__(
        self,
        events: EventLog,
        phase: str,
        power: Callable[[int, int], float | None],
        total: int,
        open_ns: int,
        minimum_s: float = 0.0,
    ) -> None:
        self._events = events
        self._phase = phase
        self._power = power
        self._total = total
        self._open_ns = open_ns
        self._minimum_s = minimum_s
        self._told_ns = open_ns
        self._requests = 0
        self._tokens = 0
        self._told_tokens = 0

    def __call__(self, answer: Answer) -> None:
        """A batch was answered."""
        self._requests += len(answer.records)
        self._tokens += sum(record.output_tokens for record in answer.records)
        now = answer.returned_ns
        since_s = (now - self._told_ns) / 1e9
        if since_s < PERIOD_S:
            return
        passes = math.ceil(self._minimum_s * 1e9 / (now - self._open_ns) * self._requests / self._total)
        self._events.append(
            "progress",
            phase=self._phase,
            done=self._requests,
            total=max(passes, math.ceil(self._requests / self._total)) * self._total,
            unit="requests",
            tokens_per_s=round((self._tokens - self._told_tokens) / since_s, 1),
            **self._watts(now),
        )
        self._told_ns, self._told_tokens = now, self._tokens

    def _watts(self, now_ns: int) -> dict[str, float]:
        power_w = self._power(self._told_ns, now_ns)
        return {} if power_w is None else {"power_w": round(power_w, 1)}
