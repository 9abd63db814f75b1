"""The phases of one experiment: in one fixed order, without gaps, each with its start and end in `events.jsonl`."""

from __future__ import annotations

import time
from typing import Final

from llem.results.job_directory import EventLog
from llem.results.models import Phase

IDLE_BASELINE: Final = "idle_baseline"
LOAD: Final = "load"
RESIDENT_BASELINE: Final = "resident_baseline"
WARMUP: Final = "warmup"
SETTLE: Final = "settle"
WINDOW: Final = "window"
CLOSE: Final = "close"

PHASES: Final = (IDLE_BASELINE, LOAD, RESIDENT_BASELINE, WARMUP, SETTLE, WINDOW, CLOSE)
"""The phases in their order. One that the configuration switches off is passed through in no time.

idle_baseline      the machine without the engine; nothing of the engine is imported yet
load               the engine is imported and loads the model
resident_baseline  the model is loaded, no request runs
warmup             the workload's first batches, until their latency is steady
settle             a pause; at its end the meters wait for the tick that opens the window
window             the measured window, edge to edge
close              the engine lets go of its devices
"""

PREPARE: Final = "prepare"
"""Where a failure happened that came before the first phase: configuration, dataset, meters."""

REPORT: Final = "report"
"""Where a failure happened that came after the last phase: working out the figures, writing files."""


class PhaseLog:
    """Follows an experiment through its phases.

    Attributes:
        current: the phase that runs, `prepare` before the first and `report` after the last.
        finished: the phases that ended, in order; each starts at the very nanosecond at which the one before ended.
    """

    def __init__(self, events: EventLog) -> None:
        self._events = events
        self._start_ns = 0
        self.current = PREPARE
        self.finished: list[Phase] = []

    def enter(self, name: str, at_ns: int | None = None) -> int:
        """End the phase that runs and start the next; returns the instant.

        Args:
            name: the next of `PHASES`.
            at_ns: the instant on the monotonic clock, by default now.
        """
        ended = self._end(at_ns)
        expected = PHASES[len(self.finished)]
        if name != expected:
            raise RuntimeError(f"phase {name} where {expected} is next")
        self.current = name
        self._start_ns = ended
        self._events.append("phase", name=name, state="start", t_ns=ended)
        return ended

    def leave(self, at_ns: int | None = None) -> int:
        """End the last phase; returns the instant."""
        ended = self._end(at_ns)
        self.current = REPORT
        return ended

    def abandon(self) -> None:
        """End the phase that runs because the experiment failed in it; `current` still names it."""
        self._end(None)

    def _end(self, at_ns: int | None) -> int:
        now = time.monotonic_ns() if at_ns is None else at_ns
        if self.current in PHASES[len(self.finished) :]:
            self._events.append("phase", name=self.current, state="end", t_ns=now)
            self.finished.append(Phase(name=self.current, start_ns=self._start_ns, end_ns=now))
        return now
