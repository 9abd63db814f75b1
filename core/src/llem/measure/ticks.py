"""When cumulative counters advance: polled closely, since an energy counter is exact only at the instant of its step.

A tick is stamped with the middle of the two readings between which it happened. Where those lay apart, because the
machine was busy or the meter answers slowly, the tick has no exact time, and the next one is awaited.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Counters = Callable[[], Mapping[int, tuple[int, float]]]
"""Reads all counters now: index of the device to (monotonic ns, joules)."""

SHARP_NS = 500_000
"""A tick seen between two readings no further apart than this has an exact time."""

BLURRED_NS = 20_000_000
"""A tick seen between two readings further apart than this has none, however long one waited for a better one."""

POLL_S = 0.0001
"""Pause between readings while the worker waits for an edge."""

QUIET_POLL_S = 0.001
"""The same once it works again: only the tick after the edge is awaited, which takes no time from the engine."""

POWER_EVERY_NS = 4_000_000
"""Where several counters tick apart, power is read so often around an edge: it tells how energy divides at the edge."""

POWER_SHARE = 4
"""Reading power takes at most one part in so many of the time around an edge, however slowly the meter answers."""

Tick = tuple[int, float]
"""Monotonic ns, and the counter in joules from then on."""


@dataclass
class TickWatch:
    """Watches all counters around one edge of a window.

    It is `settled` once each counter has ticked sharply, or nothing more is to be expected: the edge is then the last of
    these first ticks. It is `done` once each has ticked after the edge as well, so that a counter which did not tick
    right at the edge has a tick on both sides of it.

    Args:
        counters: reads them.
        timeout_s: so long is waited for the first ticks, and as long again for the ticks after the edge.
    """

    counters: Counters
    timeout_s: float
    ticks: dict[int, list[Tick]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._last = dict(self.counters())
        self._waiting = set(self._last)
        self._better: dict[int, tuple[int, Tick]] = {}
        self._closest_ns = BLURRED_NS
        self._deadline_ns = time.monotonic_ns() + round(self.timeout_s * 1e9)
        self._unpaired: set[int] = set()
        self.edge_ns: int | None = None
        self.settled = not self._waiting
        self.done = self.settled

    @property
    def poll_s(self) -> float:
        """Pause until the next `poll`."""
        return QUIET_POLL_S if self.settled else POLL_S

    @property
    def several(self) -> bool:
        """More than one counter: most of them will not tick at the edge."""
        return len(self._last) > 1

    def poll(self) -> None:
        """Read the counters once."""
        now = self.counters()
        for index, (t_ns, energy_j) in now.items():
            before = self._last.get(index)
            if before is None or energy_j < before[1]:
                self._give_up(index)
            elif energy_j > before[1]:
                self._ticked(index, t_ns - before[0], ((before[0] + t_ns) // 2, energy_j))
            elif not self.settled:
                self._closest_ns = min(self._closest_ns, t_ns - before[0])
        for index in self._last.keys() - now.keys():
            self._give_up(index)
        self._last = dict(now)
        late = time.monotonic_ns() >= self._deadline_ns
        if not self.settled and (late or not self._waiting):
            self._settle()
        elif self.settled and (late or not self._unpaired):
            self.done = True

    def at_edge(self) -> dict[int, Tick]:
        """Of each counter that ticked its last tick up to the edge."""
        assert self.edge_ns is not None
        return {
            index: max(tick for tick in ticks if tick[0] <= self.edge_ns)
            for index, ticks in self.ticks.items()
            if any(t_ns <= self.edge_ns for t_ns, _ in ticks)
        }

    def _ticked(self, index: int, gap_ns: int, tick: Tick) -> None:
        # Power is read between polls where there are several, and the worker shall not wait longer for that.
        sharp_ns = 2 * SHARP_NS if self.several else SHARP_NS
        pauses_ns = QUIET_POLL_S * 2e9 if self.settled else 0
        if gap_ns <= max(sharp_ns, 2 * self._closest_ns, pauses_ns) and gap_ns <= BLURRED_NS:
            self.ticks.setdefault(index, []).append(tick)
            self._waiting.discard(index)
            self._unpaired.discard(index)
        elif gap_ns <= BLURRED_NS and gap_ns < self._better.get(index, (BLURRED_NS + 1, tick))[0]:
            self._better[index] = (gap_ns, tick)

    def _give_up(self, index: int) -> None:
        """A counter that fails or goes backwards tells nothing about this edge."""
        self._waiting.discard(index)
        self._unpaired.discard(index)
        self._better.pop(index, None)
        self.ticks.pop(index, None)

    def _settle(self) -> None:
        for index in self._waiting & self._better.keys():
            self.ticks[index] = [self._better[index][1]]
        firsts = [ticks[0][0] for ticks in self.ticks.values()]
        self.settled = True
        if not firsts:
            self.done = True
            return
        self.edge_ns = max(firsts)
        self._unpaired = {index for index, ticks in self.ticks.items() if ticks[-1][0] < self.edge_ns}
        self._deadline_ns = time.monotonic_ns() + round(self.timeout_s * 1e9)
        self.done = not self._unpaired


class EdgeRequest:
    """An edge that the worker asked for: answered once the counters have ticked, over once they have ticked again.

    Args:
        number: of the question, given back with the answer.
        watch: just begun.
    """

    def __init__(self, number: int, watch: TickWatch) -> None:
        self._number = number
        self.watch = watch
        self._answered = False
        self._power_due_ns = 0
        self._written: dict[int, int] = {}

    def step(
        self,
        write: Callable[[Mapping[str, Any]], None],
        sweep: Callable[[None], int],
        answer: Callable[[Mapping[str, Any]], None],
    ) -> bool:
        """Read the counters once, and say what is new; True when nothing is left to be done.

        Args:
            write: appends to the readings.
            sweep: reads every device and returns the time of that.
            answer: tells the worker.
        """
        if not self.watch.done:
            self.watch.poll()
        answering = self.watch.settled and not self._answered
        latest_ns = 0
        begun_ns = time.monotonic_ns()
        if answering or (self.watch.several and begun_ns >= self._power_due_ns):
            latest_ns = sweep(None)
            took_ns = time.monotonic_ns() - begun_ns
            self._power_due_ns = begun_ns + max(POWER_EVERY_NS, POWER_SHARE * took_ns)
        if self.watch.settled:
            self._write(write)
        if answering:
            self._answered = True
            edge_ns = self.watch.edge_ns
            at = [] if edge_ns is None else [[index, *tick] for index, tick in self.watch.at_edge().items()]
            answer({"mark": self._number, "t_ns": latest_ns if edge_ns is None else edge_ns, "ticks": at})
        return self.watch.done

    def _write(self, write: Callable[[Mapping[str, Any]], None]) -> None:
        new = []
        for index, ticks in self.watch.ticks.items():
            new += [[index, *tick] for tick in ticks[self._written.get(index, 0) :]]
            self._written[index] = len(ticks)
        if new:
            write({"ticks": new})
