"""The progress of a study as its reporter was told. Plain data with times of the monotonic clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from llem.plugin_api import FIRST_PHASE, phase_after

STALE_S = 5.0
"""Power that was told longer ago is not what is drawn now."""


@dataclass(eq=False)
class Running:
    """An experiment under way.

    Attributes:
        number: its place among all; label: what distinguishes it.
        since_s: when its phase began.
        phase: its name, or the part of it that the last progress was of, such as the ramp of a load.
        progress: the last event that told how far the phase is.
        power_w: last told, and when; estimated: it was no measurement.
    """

    number: int
    label: str
    since_s: float
    phase: str = FIRST_PHASE
    progress: Mapping[str, Any] = field(default_factory=dict)
    power_w: float | None = None
    power_at_s: float = 0.0
    estimated: bool = False

    def take(self, event: Mapping[str, Any], now_s: float) -> bool:
        """An event of its worker. Tells whether it does something else from now on."""
        kind, before = event.get("event"), self.phase
        self.phase = phase_after(event, before)
        if kind == "phase" and event.get("state") == "start":
            self.progress, self.since_s = {}, now_s
        elif kind == "progress":
            self.progress = event
        elif kind == "power" and (power_w := told_number(event.get("power_w"))) is not None:
            self.power_w, self.power_at_s, self.estimated = power_w, now_s, event.get("estimated") is True
        return self.phase != before

    def power_now_w(self, now_s: float) -> float | None:
        """Power, where it was told just now."""
        return self.power_w if now_s - self.power_at_s <= STALE_S else None


def told_number(found: object) -> float | None:
    """A number of an event, which a worker in a container may have made up."""
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return float(found) if abs(found) < 1e15 else None


@dataclass
class StudyState:
    """The study as a whole.

    Attributes:
        began_s: when.
        finished: experiments that ended since then.
        failed, interrupted: those among them.
        left: seconds that it still takes, and when that was told.
        pause: how long a pause lasts, why, and when that was told.
    """

    began_s: float
    name: str = ""
    total: int = 0
    finished: int = 0
    failed: int = 0
    interrupted: int = 0
    estimate_s: float | None = None
    left: tuple[float, float] | None = None
    pause: tuple[float, str, float] | None = None
    running: dict[int, Running] = field(default_factory=dict)

    @property
    def ended(self) -> int:
        """Number of experiments that are behind: those that ended, now or before, and those that were not needed."""
        return max(self.finished, min(list(self.running), default=1) - 1)

    def left_s(self, now_s: float) -> float | None:
        """The time that it still takes, counted down; None where nothing tells."""
        if self.left is not None:
            left_s, told_at_s = self.left
            left_s -= now_s - told_at_s
        elif self.estimate_s is not None:
            left_s = self.estimate_s - (now_s - self.began_s)
        else:
            return None
        return max(0.0, left_s, self.pause_s(now_s) if not self.running else 0.0)

    def pause_s(self, now_s: float) -> float:
        """The time that the pause still lasts; 0 without one."""
        if (pause := self.pause) is None:
            return 0.0
        remaining_s, _, told_at_s = pause
        return max(0.0, remaining_s - (now_s - told_at_s))
