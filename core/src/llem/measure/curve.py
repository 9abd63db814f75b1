"""Arithmetic on sampled curves: interpolation, integration, and the difference of a cumulative counter.

Pure functions over times in nanoseconds (ascending) and values, None where nothing was read. Between two samples a
curve is taken for a straight line. Outside its samples nothing is known, and the answer is None.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

Points = tuple[list[int], list[float]]
"""Times and values of what was read."""


def points(t_ns: Sequence[int], values: Sequence[float | None]) -> Points:
    """The samples that were read."""
    times: list[int] = []
    kept: list[float] = []
    for t, value in zip(t_ns, values, strict=True):
        if value is not None:
            times.append(t)
            kept.append(value)
    return times, kept


def between(curve: Points, start_ns: int, end_ns: int) -> Points | None:
    """The curve from `start_ns` to `end_ns`: its samples within, and both edges by interpolation.

    None where the samples do not reach both edges, or the window has no length.
    """
    times, values = curve
    if end_ns <= start_ns or len(times) < 2 or start_ns < times[0] or end_ns > times[-1]:
        return None
    first, last = bisect_right(times, start_ns), bisect_left(times, end_ns)
    return (
        [start_ns, *times[first:last], end_ns],
        [value_at(curve, start_ns), *values[first:last], value_at(curve, end_ns)],
    )


def value_at(curve: Points, t_ns: int) -> float:
    """The value at a time within the samples, by linear interpolation."""
    times, values = curve
    after = bisect_left(times, t_ns)
    if times[after] == t_ns:
        return values[after]
    before = after - 1
    share = (t_ns - times[before]) / (times[after] - times[before])
    return values[before] + (values[after] - values[before]) * share


def integral(curve: Points, start_ns: int, end_ns: int) -> float | None:
    """Trapezoid over the samples, cut to the exact edges: power in watts gives joules."""
    cut = between(curve, start_ns, end_ns)
    if cut is None:
        return None
    times, values = cut
    return sum((t1 - t0) * (v0 + v1) for t0, t1, v0, v1 in zip(times, times[1:], values, values[1:], strict=False)) / (
        2e9
    )


def increase(curve: Points, start_ns: int, end_ns: int) -> float | None:
    """Increase of a cumulative counter from edge to edge; None where it went backwards on the way."""
    cut = between(curve, start_ns, end_ns)
    if cut is None or any(b < a for a, b in zip(cut[1], cut[1][1:], strict=False)):
        return None
    return cut[1][-1] - cut[1][0]


def steps(curve: Points) -> Points:
    """Only the samples at which a stepping value had changed, and the first."""
    times, values = curve
    kept = [i for i in range(len(times)) if i == 0 or values[i] != values[i - 1]]
    return [times[i] for i in kept], [values[i] for i in kept]


def run_on(curve: Points, end_ns: int) -> Points:
    """The steps of a cumulative value, and a point at the time until which it was read without another one.

    It went on as before its last step, by one step at the most, or it would have shown it.
    """
    times, values = curve
    if len(times) < 2 or end_ns <= times[-1]:
        return curve
    step = values[-1] - values[-2]
    share = min(1.0, (end_ns - times[-1]) / (times[-1] - times[-2]))
    return [*times, end_ns], [*values, values[-1] + max(step, 0.0) * share]


def update_period_s(curve: Points) -> float | None:
    """The period in which a stepping value is seen to change: the mean gap between changes, from five changes on.

    The sampling period is a floor: a value that changes more often is seen to change at each sample.
    """
    times, _ = steps(curve)
    changes = times[1:]
    return None if len(changes) < 5 else (changes[-1] - changes[0]) / (len(changes) - 1) / 1e9
