"""The time that a study still takes, learned from the experiments that have finished."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class _Known:
    """The known times of one configuration: cycles that are left, and durations of those that ran (seconds)."""

    left: int
    ran: int = 0
    ran_s: float = 0.0

    @property
    def work_s(self) -> float:
        """Of the cycles that are left, at the pace of those that ran."""
        return self.left * self.ran_s / self.ran if self.ran else 0.0


class TimeLeft:
    """Follows a study's experiments. Each costs the same to follow, however many there are.

    A cycle is expected to take as long as the earlier ones of its configuration did, and a configuration of which none has
    run as long as the others on average. How many run side by side, and how long the pauses between them are, shows in how
    much of the time went into experiments so far.

    Args:
        total: how many experiments there are, cycles counted.
        cycles: how often each configuration runs at the most.
        begin_s: when the study began, on the clock of all times given here.
    """

    def __init__(self, total: int, cycles: int, begin_s: float) -> None:
        self._left, self._cycles, self._begin_s = total, cycles, begin_s
        self._known: dict[str, _Known] = {}
        self._running: dict[int, tuple[str, float]] = {}
        self._work_s, self._work_left_s = 0.0, 0.0
        self._cycles_left, self._ran = 0, 0

    @property
    def running(self) -> int:
        """Number of experiments under way."""
        return len(self._running)

    def started(self, number: int, label: str, at_s: float) -> None:
        """An experiment started; `number` is its place in the plan."""
        self._running[number] = (label, at_s)

    def ended(self, number: int, at_s: float) -> None:
        """It ended, done or failed."""
        label, started_s = self._running.pop(number)
        took_s = at_s - started_s
        self._ran += 1
        self._work_s += took_s
        self._take(label, took_s)

    def withdrawn(self, number: int) -> None:
        """It was taken out of a queue, and has not begun."""
        del self._running[number]

    def dropped(self, label: str) -> None:
        """An experiment is not needed."""
        self._take(label, None)

    def seconds(self, now_s: float) -> float | None:
        """The time left; None as long as nothing has run, which tells nothing."""
        passed_s = now_s - self._begin_s
        if not self._ran or passed_s <= 0 or self._work_s <= 0:
            return None
        under_way_s = sum(now_s - started_s for _, started_s in self._running.values())
        unknown = self._left - self._cycles_left
        work_left_s = self._work_left_s + unknown * self._work_s / self._ran
        at_once = (self._work_s + under_way_s) / passed_s
        return max(0.0, work_left_s - under_way_s) / at_once

    def _take(self, label: str, took_s: float | None) -> None:
        known = self._known.get(label)
        if known is None:
            known = self._known[label] = _Known(left=min(self._cycles, self._left))
            self._cycles_left += known.left
        self._work_left_s -= known.work_s
        if took_s is not None:
            known.ran += 1
            known.ran_s += took_s
        if known.left:
            known.left -= 1
            self._cycles_left -= 1
        self._left -= 1
        self._work_left_s += known.work_s
