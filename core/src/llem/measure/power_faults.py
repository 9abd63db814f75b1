"""Ways in which sampled power lies: below nothing, nothing, or the same to the last bit. Pure functions over readings."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, pairwise
from statistics import fmean, median

from llem.measure import curve
from llem.measure.counter_faults import Fault

NOISE_W = 1.0
"""Below nothing by so much may be noise of an honest sensor about nothing."""

DEAD_W = 10.0
"""A device that draws this much at work does not draw exactly nothing in between."""

COARSE = 20
"""A sensor that shows nothing may mean less than half a step of its own; where it draws this many steps it does not."""

FINE = 0.002
"""A sensor whose readings differ by less than this share of their mean shows noise: it never repeats itself for long."""

LONG_RUN = 10
"""A fine sensor's run of equal readings is a stuck one from so many on, and from so many times its longest other run."""


DIFFERS = 0.05
"""And it contradicts the counter by more than this share in the window."""

STEADY = 0.25
"""A counter whose mean power differs by more than this share over a time shows that power did not stay the same."""


def power_fault(power: curve.Points, start_ns: int, end_ns: int, counter: curve.Points) -> Fault | None:
    """The fault that makes the integral of the window worthless; None where it may be believed.

    Args:
        power: times and watts over the whole experiment.
        start_ns, end_ns: the window.
        counter: readings of a counter of the same device that is believed; without points where there is none.
    """
    inside = [(t, w) for t, w in zip(*power, strict=True) if start_ns <= t <= end_ns]
    watts = [w for _, w in inside]
    if not watts:
        return None
    mean_w = fmean(watts)
    lowest_w = min(watts)
    if lowest_w < -max(NOISE_W, 0.02 * abs(mean_w)) or mean_w < 0:
        negative = f"{sum(w < 0 for w in watts)} of its {len(watts)} power readings are negative"
        return Fault("power_implausible", f"{negative}, down to {lowest_w:.6g} W")
    return _dropped(watts) or _stuck(power, inside, counter)


def _dropped(watts: Sequence[float]) -> Fault | None:
    zeros = sum(w == 0 for w in watts)
    drawn = [w for w in watts if w > 0]
    if not drawn or zeros < 2 or zeros < 0.02 * len(watts):
        return None
    if median(drawn) < max(DEAD_W, COARSE * (_finest(drawn) or 0.0)):
        return None
    exactly = f"{zeros} of its {len(watts)} power readings are exactly 0 W"
    return Fault("power_implausible", f"{exactly}, between others of {median(drawn):.4g} W")


def _stuck(power: curve.Points, inside: Sequence[tuple[int, float]], counter: curve.Points) -> Fault | None:
    runs = [list(run) for _, run in groupby(inside, key=lambda reading: reading[1])]
    longest = max(runs, key=len)
    share, held_w = len(longest) / len(inside), longest[0][1]
    if len(longest) < LONG_RUN or share < 0.2 or held_w == 0:
        return None
    told = f"its power stayed at {held_w!r} W to the last bit for {share:.0%} of the window's readings"
    if counter[0]:
        # The first step of the counter in the run counts what was drawn before it as well, and the one after it what came then.
        since_ns = _first_step(counter, longest[0][0])
        until_ns = _last_step(counter, since_ns, longest[-1][0])
        lowest_w, highest_w = _counted_meanwhile(power, longest[0][0], counter)
        counted_j = curve.increase(counter, since_ns, until_ns)
        held_j = held_w * (until_ns - since_ns) / 1e9
        differs = counted_j is not None and abs(counted_j - held_j) > DIFFERS * max(counted_j, held_j)
        if not differs or highest_w - lowest_w <= STEADY * highest_w:
            return None
        return Fault("power_stuck", f"{told}, while its counter rose by {lowest_w:.4g} to {highest_w:.4g} W")
    # A window of one value alone is judged by what the sensor showed before and after it.
    shown = runs if len(runs) > 1 else [list(run) for _, run in groupby(zip(*power, strict=True), key=lambda r: r[1])]
    others = max((len(run) for run in shown if run[0][1] != held_w), default=0)
    if others and _fine([w for run in shown for _, w in run], held_w) and len(longest) >= LONG_RUN * others:
        return Fault("power_stuck", f"{told}, after never more than {others} equal readings in a row")
    return None


def _counted_meanwhile(power: curve.Points, at_ns: int, counter: curve.Points) -> tuple[float, float]:
    """The lowest and the highest mean power by counter in parts of the time for which power kept the value that it has at an
    instant, before the window too; parts are long enough for several steps of the counter.
    """
    times, watts = power
    first = last = times.index(at_ns)
    while first > 0 and watts[first - 1] == watts[first]:
        first -= 1
    while last + 1 < len(watts) and watts[last + 1] == watts[last]:
        last += 1
    since_ns = min(_first_step(counter, times[first]), times[last])
    until_ns = _last_step(counter, since_ns, times[last])
    steps = sum(since_ns <= t <= until_ns for t in counter[0])
    parts = min(8, steps // 4)
    edges = [since_ns + (until_ns - since_ns) * i // max(parts, 1) for i in range(parts + 1)]
    counted = [
        joules / ((b - a) / 1e9)
        for a, b in pairwise(edges)
        if b > a and (joules := curve.increase(counter, a, b)) is not None
    ]
    return (min(counted), max(counted)) if counted else (0.0, 0.0)


def _first_step(counter: curve.Points, since_ns: int) -> int:
    """The counter's first move after a time, by when it has told of all that was drawn before; that time where it
    did not move.
    """
    return next((t for t in curve.steps(counter)[0] if t > since_ns), since_ns)


def _last_step(counter: curve.Points, since_ns: int, until_ns: int) -> int:
    """The counter's last move up to a time: its next one counts what was drawn later as well; that time where it did not move."""
    return next((t for t in reversed(curve.steps(counter)[0]) if since_ns < t <= until_ns), until_ns)


def _fine(watts: Sequence[float], held_w: float) -> bool:
    """True where the sensor is seen to tell apart less than `FINE` of its mean, and of the value that it held.

    At a few watts even a fine sensor's noise is below its step, and it honestly repeats itself.
    """
    finest = _finest(watts)
    return finest is not None and finest < FINE * min(abs(fmean(watts)), abs(held_w))


def _finest(watts: Sequence[float]) -> float | None:
    """The smallest difference that the sensor is seen to show."""
    return min((b - a for a, b in pairwise(sorted(set(watts)))), default=None)
