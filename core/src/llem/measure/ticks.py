"""The steps of cumulative counters, polled closely: an energy counter is exact only at the instant of its step.

A tick is stamped with the middle of the two readings between which it happened. Where those lay apart, because the
machine was busy or the meter answers slowly, the tick has no exact time, and the next one is awaited.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field

Counted = Mapping[int, tuple[int, float]]
"""One reading of all counters: index of the device to (monotonic ns, joules)."""

SHARP_NS = 500_000
"""A tick seen between two readings no further apart than this has an exact time."""

BLURRED_NS = 20_000_000
"""A tick seen between two readings further apart than this has none, however long one waited for a better one."""

POLL_S = 0.0001
"""Pause between readings while the worker waits for an edge."""

QUIET_POLL_S = 0.0005
"""The same once it works again: only the tick after the edge is awaited, for one period of the counter at most."""

Tick = tuple[int, float]
"""Monotonic ns, and the counter in joules from then on."""


@dataclass
class TickWatch:
    """Watches all counters around one edge of a window.

    It is `settled` once each counter has ticked sharply, or nothing more is to be expected: the edge is then the last of
    these first ticks. It is `done` once each has ticked after the edge as well, so that a counter which did not tick
    right at the edge has a tick on both sides of it.

    Args:
        first: a reading of them when the watch begins.
        timeout_s: so long is waited for the first ticks, and as long again for the ticks after the edge.
    """

    first: InitVar[Counted]
    timeout_s: float
    ticks: dict[int, list[Tick]] = field(default_factory=dict)

    def __post_init__(self, first: Counted) -> None:
        self._last = dict(first)
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
        """Pause until the next reading."""
        return QUIET_POLL_S if self.settled else POLL_S

    @property
    def several(self) -> bool:
        """More than one counter: most of them will not tick at the edge."""
        return len(self._last) > 1

    def observe(self, now: Counted) -> None:
        """Take in the next reading of the counters."""
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
