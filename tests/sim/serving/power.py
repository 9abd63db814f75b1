"""Power over time as a step function, with its exact integral."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from sim.serving.arrivals import Ints, S

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class StepPower:
    """Power that stays at `watts[i]` from `times[i]` on, until the next step.

    Attributes:
        times: nanoseconds, ascending. Before the first, power is that of the first.
        watts: at and after each; the last holds without end.
    """

    times: Ints
    watts: Floats

    def at(self, t: Any) -> Floats:
        """Watts at instants."""
        return self.watts[np.maximum(np.searchsorted(self.times, t, side="right") - 1, 0)]

    def energy_j(self, start: Any, end: Any) -> Floats:
        """Joules between instants in nanoseconds; arrays give as many values."""
        return (self._since_zero(end) - self._since_zero(start)) / S

    def shifted(self, at: int, by: int) -> StepPower:
        """The same with everything from an instant on moved later; power holds in between."""
        times = np.where(self.times >= at, self.times + by, self.times)
        return StepPower(times, self.watts)

    @cached_property
    def _until_step(self) -> Floats:
        """Watt-nanoseconds from the first step to each."""
        return np.concatenate([[0.0], np.cumsum(np.diff(self.times) * self.watts[:-1])])

    def _since_zero(self, t: Any) -> Floats:
        step = np.maximum(np.searchsorted(self.times, t, side="right") - 1, 0)
        return self._until_step[step] + (np.asarray(t) - self.times[step]) * self.watts[step]


def power_of_levels(changes: Ints, by: Ints, watts_of_level: Floats) -> StepPower:
    """The power of a server of which `by` more units work from each of `changes` on, which need not be sorted."""
    order = np.argsort(changes, kind="stable")
    times, level = changes[order], np.cumsum(by[order])
    last = np.append(times[1:] != times[:-1], True)  # of changes at one instant, the last holds
    first = times[:1] - 1
    return StepPower(
        np.concatenate([first, times[last]]), np.concatenate([watts_of_level[:1], watts_of_level[level[last]]])
    )
