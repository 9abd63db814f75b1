"""Instants at which the worker wants to know the energy: ticks and power around each are read closely, and written down.

An edge of the measured window is waited for, an instant that is only noted is not. Both are the same here: the counters
are polled until each has ticked, and power is read between, so that the energy at the instant itself can be told from
the tick after it (`llem.measure.edge_energy`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from llem.measure.ticks import Counted, TickWatch

POWER_EVERY_NS = 500_000
"""Power is read so often until the counters have ticked: it tells how the energy before a tick divides at the instant."""

POWER_SHARE = 4
"""Reading power takes at most one part in so many of the time around an edge, however slowly the meter answers."""

WRITE_FROM = 64
"""Readings of power are written so many at a time: a longer line would keep the next tick waiting."""


@dataclass
class Request:
    """An instant that was asked for.

    Attributes:
        asked_ns: the instant.
        watch: begun when the request came.
        number: of the question that waits for an answer; None where nobody waits.
        settled: it was written down, and answered.
    """

    asked_ns: int
    watch: TickWatch
    number: int | None
    settled: bool = False


class Edges:
    """The instants under way.

    Args:
        counters: reads all counters that tick, as fast as can be.
        powers: the same for power: index of the device to (monotonic ns, watts).
        read_all: reads every device and returns the latest time of that.
        write: appends to the readings.
        answer: tells the worker.
    """

    def __init__(
        self,
        counters: Callable[[], Counted],
        powers: Callable[[], Counted],
        read_all: Callable[[None], int],
        write: Callable[[Mapping[str, Any]], None],
        answer: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self._counters, self._powers, self._read_all = counters, powers, read_all
        self._write, self._answer = write, answer
        self._requests: list[Request] = []
        self._power_due_ns = 0
        self._power: list[tuple[int, int, float]] = []
        self._written: set[tuple[int, int]] = set()

    @property
    def poll_s(self) -> float | None:
        """Pause until the next `step`; None where nothing is under way."""
        return min((request.watch.poll_s for request in self._requests), default=None)

    def begin(self, asked_ns: int, timeout_s: float, number: int | None = None) -> None:
        """Watch for the ticks after an instant.

        Args:
            asked_ns: the instant (monotonic ns), just past.
            timeout_s: so long ticks are awaited.
            number: of the question that the answer is for, where one is waited for.
        """
        self._requests.append(Request(asked_ns, TickWatch(self._counters(), timeout_s), number))
        self._power_due_ns = 0
        self.step()

    def step(self) -> None:
        """Read once, and say what is new."""
        now = self._counters()
        for request in self._requests:
            if not request.watch.done:
                request.watch.observe(now)
        if any(request.watch.done for request in self._requests):
            self._power_due_ns = 0  # beyond the last tick, so that power is known up to it
        self._read_power()
        for request in self._requests:
            if request.watch.settled and not request.settled:
                self._settle(request)
        if any(request.watch.done for request in self._requests):
            self._write_power()
            self._write_ticks()
            self._requests = [request for request in self._requests if not request.watch.done]
        if not self._requests:
            self._written.clear()

    def _read_power(self) -> None:
        begun_ns = time.monotonic_ns()
        waiting = any(not request.watch.settled for request in self._requests)
        if begun_ns < self._power_due_ns or not (waiting or any(r.watch.several for r in self._requests)):
            return
        self._power += [(index, t_ns, watts) for index, (t_ns, watts) in self._powers().items()]
        took_ns = time.monotonic_ns() - begun_ns
        self._power_due_ns = begun_ns + max(POWER_EVERY_NS, POWER_SHARE * took_ns)
        if len(self._power) >= WRITE_FROM:
            self._write_power()

    def _settle(self, request: Request) -> None:
        """Every counter has ticked, or will not: the edge is known."""
        request.settled = True
        latest_ns = self._read_all(None)
        self._write_power()
        self._write_ticks()
        found_ns = request.watch.edge_ns
        edge_ns = latest_ns if found_ns is None else found_ns
        self._write({"edge": [request.asked_ns, edge_ns]})
        if request.number is not None:
            at = [] if found_ns is None else [[index, *tick] for index, tick in request.watch.at_edge().items()]
            self._answer({"mark": request.number, "t_ns": edge_ns, "ticks": at})

    def _write_power(self) -> None:
        if self._power:
            self._write({"power": self._power})
            self._power = []

    def _write_ticks(self) -> None:
        """Those of settled watches: which of the others' count is not known yet."""
        new = [
            (index, *tick)
            for request in self._requests
            if request.settled
            for index, ticks in request.watch.ticks.items()
            for tick in ticks
            if (index, tick[0]) not in self._written
        ]
        new = list(dict.fromkeys(new))
        if new:
            self._written.update((index, t_ns) for index, t_ns, _ in new)
            self._write({"ticks": new})
