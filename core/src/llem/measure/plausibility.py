"""The gate that every figure of every meter goes through: what cannot be is null, or gives way to the other method.

Readings of one device go in, as its sampler gave them, with what its counter and its power would say for an interval;
out come the figures that may be believed, and for each that may not a warning with the device, both numbers and the cause.
Built-in and foreign samplers, counters, power and estimates are judged alike. Pure functions over what was read.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from statistics import fmean, median

from llem.measure import curve
from llem.measure.counter_faults import UNSEEN_J, CounterView, Fault, counter_fault
from llem.measure.limits import TOLERANCE, Limit, limit_of
from llem.measure.power_faults import NOISE_W, power_fault
from llem.measure.series import Track
from llem.results.models import ResultWarning

SLACK = 0.02
"""Share by which the counter at the edges may lie beyond what its readings beside them allow."""

TELLING = 0.2
"""And its readings judge it only where they leave less room than this share."""

BUSY_PCT = 5.0
"""Mean utilisation from which a device did work."""


@dataclass(frozen=True, kw_only=True)
class Said:
    """Figures of a device for an interval before anybody doubts them.

    Attributes:
        counter_j: increase of its counter, or of its estimate; power_j: integral of its power. None where there is none.
        worked: it is among the devices that did the experiment's work, and that work was done.
        idle_w: its mean power without work, where known.
    """

    counter_j: float | None
    power_j: float | None
    worked: bool = False
    idle_w: float | None = None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Figures that may be believed, and the reasons against the rest."""

    counter_j: float | None
    power_j: float | None
    doubts: tuple[ResultWarning, ...] = ()


def judge(track: Track, start_ns: int, end_ns: int, said: Said) -> Verdict:
    """Judge one device's figures of an interval.

    Args:
        track: everything that was read of it, so that its habits before the interval are known.
        start_ns, end_ns: the interval.
        said: its figures.
    """
    window = _Interval(track, start_ns, end_ns, said)
    counter, power = window.counter_fault, window.power_fault
    kept = replace(
        said,
        counter_j=said.counter_j if counter is None else None,
        power_j=said.power_j if power is None else None,
    )
    kept = window.without_unresolved(kept)
    if counter is None and kept.counter_j is not None:
        counter = window.impossible("counter", kept.counter_j, other_j=kept.power_j) or window.beside(kept.counter_j)
        kept = kept if counter is None else replace(kept, counter_j=None)
    if power is None and kept.power_j is not None:
        power = window.impossible("power", kept.power_j, other_j=kept.counter_j)
        kept = kept if power is None else replace(kept, power_j=None)
    doubts = [window.told(fault, kept) for fault in (counter, power) if fault is not None]
    return Verdict(counter_j=kept.counter_j, power_j=kept.power_j, doubts=tuple(doubts))


class _Interval:
    """One device over one interval."""

    def __init__(self, track: Track, start_ns: int, end_ns: int, said: Said) -> None:
        self._track, self._said = track, said
        self._start_ns, self._end_ns = start_ns, end_ns
        self._limit: Limit = limit_of(track, start_ns, end_ns)
        self._energy = curve.points(track.t_ns, track.energy_j)
        self._power = curve.points(track.t_ns, track.power_w)
        self._estimate = track.device.methods == {"estimate"}
        gaps = [b - a for a, b in pairwise(self._energy[0])]
        self._sampled_s = median(gaps) / 1e9 if gaps else 0.0

    @property
    def seconds(self) -> float:
        return (self._end_ns - self._start_ns) / 1e9

    @cached_property
    def counter_fault(self) -> Fault | None:
        """By the course of its readings. A counter that tells no sum for the interval may still have gone back in it."""
        if not self._energy[0] or self.seconds <= 0:
            return None
        # Power that is itself a fault must not accuse the counter.
        believed = power_fault(self._power, self._start_ns, self._end_ns, ([], [])) is None
        view = CounterView(
            readings=self._energy,
            start_ns=self._start_ns,
            end_ns=self._end_ns,
            power=self._power if believed else ([], []),
            limit=self._limit,
            idle_w=self._said.idle_w,
            sampled_s=self._sampled_s,
        )
        fault = counter_fault(view)
        # Busy time stands still while nobody works: an estimate has no frozen readings, only impossible figures.
        return (
            None if self._estimate and fault is not None and fault.code in ("counter_stuck", "counter_froze") else fault
        )

    @cached_property
    def power_fault(self) -> Fault | None:
        """By the course of its readings."""
        believed = self._said.counter_j is not None and self.counter_fault is None
        counter = curve.steps(self._energy) if believed and not self._estimate else ([], [])
        return power_fault(self._power, self._start_ns, self._end_ns, counter)

    def without_unresolved(self, said: Said) -> Said:
        """Without a nothing that is below what a coarse meter can show: the other method tells such an amount, and nobody lied."""
        counter_j, power_j = said.counter_j, said.power_j
        values, largest_step_j, longest_gap_s = self._steps()
        if counter_j == 0 and power_j is not None and 0 < power_j <= (2 * largest_step_j or UNSEEN_J):
            return replace(said, counter_j=None)
        if counter_j == 0 and power_j is None and len(values) > 2 and longest_gap_s >= self.seconds / 2:
            return replace(said, counter_j=None)
        if power_j == 0 and counter_j is not None and 0 < counter_j <= NOISE_W * self.seconds:
            return replace(said, power_j=None)
        return said

    def _steps(self) -> tuple[list[float], float, float]:
        """Values of the counter at its steps, the largest step, and the longest time between two outside of the interval."""
        times, values = curve.steps(self._energy)
        gaps = [(b - a) / 1e9 for a, b in pairwise(times) if b <= self._start_ns or a >= self._end_ns]
        return values, max((b - a for a, b in pairwise(values)), default=0.0), max(gaps, default=0.0)

    def impossible(self, method: str, energy_j: float, other_j: float | None) -> Fault | None:
        """By its sum: below nothing, nothing for work that was done, or more than the device can draw."""
        name = "estimate" if self._estimate else method
        code = "power_implausible" if method == "power" else "energy_implausible"
        if energy_j < 0:
            return Fault(code, f"its {name} gives {energy_j:.6g} J for the window, less than nothing")
        if energy_j == 0 and self.seconds > 0:
            proof = self._proof_of_work(other_j)
            if method == "counter" and not self._estimate:
                code = "counter_stuck"
            elif other_j is None or other_j <= 0:
                code = "zero_energy"
            return Fault(code, f"its {name} gives 0 J for the window, and {proof}") if proof else None
        if self.seconds > 0 and energy_j / self.seconds > TOLERANCE * self._limit.watts:
            mean_w = energy_j / self.seconds
            return Fault(code, f"its {name} gives a mean of {mean_w:.6g} W over the window, above {self._limit}")
        return None

    def beside(self, counter_j: float) -> Fault | None:
        """By the readings beside the edges: a counter that is read closely for its ticks has to be the one that is sampled."""
        times, values = self._energy
        steps = [b - a for a, b in pairwise(values) if b > a]
        edges = []
        for at_ns in (self._start_ns, self._end_ns):
            at = bisect_right(times, at_ns)
            if self._estimate or at in (0, len(times)) or not steps:
                return None
            # A counter lags: by the edge as much may be spent as its first step after the next reading shows.
            before, after = values[at - 1], values[at]
            edges.append((before, next((v for v in values[at:] if v > after), after + max(steps))))
        (low, high), (low_end, high_end) = edges
        least_j, most_j = max(0.0, low_end - high), high_end - low
        if most_j - least_j > TELLING * most_j:
            return None  # an interval of a few steps, of which its readings say too little
        if least_j * (1 - SLACK) <= counter_j <= most_j * (1 + SLACK):
            return None
        return Fault(
            "counter_inconsistent",
            f"read closely at the window's edges its counter rose by {counter_j:.6g} J, and by its readings beside them by "
            f"{least_j:.6g} to {most_j:.6g} J",
        )

    def _proof_of_work(self, other_j: float | None) -> str | None:
        if other_j is not None and other_j > 0:
            return f"its other method {other_j:.6g} J"
        busy = [
            telemetry["utilization_pct"]
            for t_ns, telemetry in zip(self._track.t_ns, self._track.telemetry, strict=True)
            if "utilization_pct" in telemetry and self._start_ns <= t_ns <= self._end_ns
        ]
        if busy and fmean(busy) >= BUSY_PCT:
            return f"it was in use for {fmean(busy):.0f} % of the time"
        return "the engine did its work on it meanwhile" if self._said.worked else None

    def told(self, fault: Fault, kept: Said) -> ResultWarning:
        """The warning, with what both methods said and what becomes of the figure."""
        device, said = self._track.device, self._said
        both = [
            f"{name} {value:.6g} J"
            for name, value in (("estimate" if self._estimate else "counter", said.counter_j), ("power", said.power_j))
            if value is not None
        ]
        if kept.counter_j is not None:
            rest = f"the figure is the {'estimate' if self._estimate else 'counter'}'s, unchecked by power"
        elif kept.power_j is not None:
            rest = "the figure is from power"
        else:
            rest = "there is no figure of it"
        said_both = f" ({' and '.join(both)} for {self.seconds:.4g} s)" if both else ""
        return ResultWarning(code=fault.code, message=f"{device.name} ({device.id}): {fault.seen}{said_both}; {rest}.")
