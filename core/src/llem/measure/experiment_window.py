"""The measured window: opened, and closed, once; by the experiment, or by a scenario while requests are under way."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from llem.measure import other_load
from llem.measure import phases as phase
from llem.measure.cpu_time import Instant
from llem.measure.meter import Meter
from llem.measure.other_load import Share
from llem.measure.phases import PhaseLog
from llem.measure.progress import PERIOD_S
from llem.measure.watts import headline_devices, whole_sum
from llem.results.job_directory import EventLog
from llem.specs.backend import Engine, ReportsMetrics

LAST_READING_S = 2.0
"""Time for which the readings are waited for until they reach the end of a span."""

LOOK_S = 0.02
"""Between two looks at them."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The window as it was: its edges (monotonic ns), the engine's counts in it, and what others used of the CPU meanwhile."""

    open_ns: int
    close_ns: int
    metrics: Mapping[str, float]
    others: Share


def _nothing() -> None:
    """Wait for nothing."""


class ExperimentWindow:
    """The window of one experiment, and the `MeasuredWindow` that a scenario is handed.

    Args:
        devices: ids of those that the engine uses.
        processes: pids that are the experiment's, and were there before it.
        synchronize: returns when the engine has done the work that it was given. One that has work all the time is not
            waited for: its edges wait for the counters alone.
    """

    def __init__(
        self,
        engine: Engine,
        meter: Meter,
        log: PhaseLog,
        events: EventLog,
        devices: Sequence[str],
        processes: Sequence[int] = (),
        synchronize: Callable[[], None] = _nothing,
    ) -> None:
        self._engine, self._meter, self._log, self._events = engine, meter, log, events
        self._used = devices
        self._processes, self._synchronize = processes, synchronize
        self._others: Instant | str | None = None
        self._open_ns: int | None = None
        self._seen: Seen | None = None
        self._told_ns = 0

    def open(self) -> int:
        """See `MeasuredWindow.open`."""
        if self._open_ns is not None:
            raise RuntimeError("the window was opened before")
        self._engine.memory(reset_peak=True)
        if isinstance(self._engine, ReportsMetrics):
            self._engine.metrics(reset=True)
        # Looked at before the window opens and after it has closed: that takes time, which is not the engine's.
        self._others = other_load.begin(self._processes)
        self._open_ns = self._log.enter(phase.WINDOW, self._meter.edge(self._synchronize))
        return self._open_ns

    def instant(self) -> int:
        """See `MeasuredWindow.instant`."""
        return self._meter.instant(self._synchronize)

    def energy_j(self, start_ns: int, end_ns: int) -> float | None:
        """See `MeasuredWindow.energy_j`."""
        chosen = headline_devices(self._meter.devices, self._used)
        if not chosen or any(device.methods == {"estimate"} for device in chosen):
            return None
        latest_s = time.monotonic() + LAST_READING_S
        while not self._meter.has_read(end_ns) and time.monotonic() < latest_s:
            time.sleep(LOOK_S)
        return whole_sum([device.id for device in chosen], self._meter.energy_between(start_ns, end_ns))

    def close(self) -> int:
        """See `MeasuredWindow.close`."""
        if self._open_ns is None or self._others is None:
            raise RuntimeError("the window was not opened")
        if self._seen is not None:
            raise RuntimeError("the window was closed before")
        close_ns = self._meter.edge(self._synchronize)
        others = other_load.share_since(self._others)
        metrics = self._engine.metrics() if isinstance(self._engine, ReportsMetrics) else {}
        self._log.enter(phase.CLOSE, close_ns)
        self._seen = Seen(open_ns=self._open_ns, close_ns=close_ns, metrics=metrics, others=others)
        return close_ns

    def progress(self, what: str, done: float, total: float, unit: str) -> None:
        """See `MeasuredWindow.progress`."""
        now_ns = time.monotonic_ns()
        if now_ns - self._told_ns >= PERIOD_S * 1e9:
            self._told_ns = now_ns
            self._events.append("progress", phase=self._log.current, done=done, total=total, unit=unit, what=what)

    def seen(self) -> Seen:
        """The window, once it is over. Raises RuntimeError where the scenario did not open and close it."""
        if self._seen is None:
            raise RuntimeError("the scenario ended and has not closed its window")
        return self._seen
