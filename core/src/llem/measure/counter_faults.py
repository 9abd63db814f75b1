"""Ways in which a cumulative counter lies: it goes back, jumps, freezes or never moves. Pure functions over readings.

An honest counter may be slow (a step every 15 s), coarse (a step of many joules), and read by a sampler that stalls. What
tells it from a dead one is energy that must have gone through it and does not come up again in its next step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import nlargest, nsmallest
from itertools import pairwise
from statistics import median

from llem.measure import curve
from llem.measure.limits import TOLERANCE, Limit

STILL_PERIODS = 5
"""A counter stands still where it does not move for so many of its own usual gaps, and energy of so many steps is missing."""

FAINT = 0.02
"""Bound where only the counter itself is known: a stretch in which it can have counted less than this share of its own mean."""

UNSEEN_J = 1.0
"""A counter that never moved may count in steps of so much; less than that says nothing against it."""

OUTLIER = 10
"""A step this many times the usual one, and many times what power allows, is a jump."""


@dataclass(frozen=True)
class Fault:
    """A fault, as a code of the table of warnings, and how it was seen."""

    code: str
    seen: str


@dataclass(frozen=True)
class _Step:
    """One change of the counter: its time, the one before, and by how much it changed."""

    before_ns: int
    t_ns: int
    joules: float

    @property
    def seconds(self) -> float:
        return (self.t_ns - self.before_ns) / 1e9


@dataclass(frozen=True, kw_only=True)
class CounterView:
    """Knowledge of a counter in a window.

    Attributes:
        readings: of the counter over the whole experiment.
        start_ns, end_ns: the window.
        power: sampled power of the same device; without points where it has none that is believed.
        limit: the most it can draw.
        idle_w: its mean power without work, where known.
        sampled_s: usual time between two readings.
    """

    readings: curve.Points
    start_ns: int
    end_ns: int
    power: curve.Points
    limit: Limit
    idle_w: float | None
    sampled_s: float


def counter_fault(view: CounterView) -> Fault | None:
    """The first fault that makes the counter's figure of the window worthless; None where it may be believed."""
    back = _backwards(view)
    if back is not None:
        return back
    times, values = curve.steps(view.readings)
    changes = [_Step(a, b, w - v) for (a, v), (b, w) in pairwise(zip(times, values, strict=True))]
    return _jumped(view, changes) or _stood_still(view, changes)


def _backwards(view: CounterView) -> Fault | None:
    times, values = view.readings
    for (_, before), (t_ns, after) in pairwise(zip(times, values, strict=True)):
        if after < before and view.start_ns < t_ns <= view.end_ns:
            at_s = (t_ns - view.start_ns) / 1e9
            return Fault(
                "counter_backwards", f"its counter went back from {before:.6g} J to {after:.6g} J at {at_s:.3g} s"
            )
    return None


def _jumped(view: CounterView, changes: Sequence[_Step]) -> Fault | None:
    inside = [c for c in changes if c.before_ns < view.end_ns and c.t_ns > view.start_ns and c.joules > 0]
    if not inside:
        return None
    rising = [c for c in changes if c.joules > 0]
    usual_j, period_s = median(c.joules for c in rising), median(c.seconds for c in rising)
    if usual_j > view.limit.watts * TOLERANCE * 3 * period_s:
        return None  # all of its steps are too much: it is its unit that is wrong
    most = max(inside, key=lambda c: c.joules / (c.seconds + 2 * period_s))
    span_s = most.seconds + 2 * period_s
    bound_j = 2 * view.limit.watts * TOLERANCE * span_s + 2 * min(usual_j, view.limit.watts * period_s)
    # What a step counts may have been drawn before the window opened: power just before it counts as well.
    reach_ns = round(1e9 * (view.sampled_s + 2 * period_s))
    since_ns, until_ns = min(view.start_ns, most.before_ns) - reach_ns, max(view.end_ns, most.t_ns)
    highest_w = max((w for t, w in zip(*view.power, strict=True) if since_ns <= t <= until_ns), default=0.0)
    if most.joules > bound_j:
        allowed = f"{view.limit} allows {bound_j:.3g} J"
    elif highest_w > 0 and most.joules > 5 * highest_w * span_s + OUTLIER * usual_j:
        allowed = f"its power of at most {highest_w:.4g} W allows {highest_w * span_s:.3g} J"
    elif len(rising) > OUTLIER and not view.power[0] and not view.limit.named and _alone(most, rising, inside):
        allowed = f"no other step is above {max(c.joules for c in rising if c is not most):.3g} J"
    else:
        return None
    return Fault(
        "counter_jumped", f"its counter rose by {most.joules:.6g} J within {most.seconds:.3g} s, where {allowed}"
    )


def _alone(most: _Step, rising: Sequence[_Step], inside: Sequence[_Step]) -> bool:
    """A step like no other in the experiment, which makes up a good part of the window's energy."""
    other = max(c.joules / c.seconds for c in rising if c is not most)
    share = most.joules / sum(c.joules for c in inside)
    return most.joules / most.seconds > 5 * OUTLIER * other and share > 0.2


@dataclass(frozen=True)
class _Usual:
    """The steps of a counter apart from one of them, in numbers; without a step they are those of nothing."""

    count: int
    longest_s: float
    largest_j: float
    smallest_j: float


class _Rising:
    """The steps of a counter upwards, from which any one can be left out without a walk over all others."""

    def __init__(self, steps: Sequence[_Step]) -> None:
        self.steps = steps
        # Two of each, since the one that is left out may be the first.
        self._longest = nlargest(2, steps, key=lambda c: c.seconds)
        self._largest = nlargest(2, steps, key=lambda c: c.joules)
        self._smallest = nsmallest(2, steps, key=lambda c: c.joules)

    def without(self, left_out: _Step | None) -> _Usual:
        """The numbers of the other steps."""

        def first(candidates: Sequence[_Step]) -> _Step | None:
            return next((c for c in candidates if c is not left_out), None)

        longest, largest, smallest = first(self._longest), first(self._largest), first(self._smallest)
        return _Usual(
            count=len(self.steps) - (left_out is not None),
            longest_s=longest.seconds if longest is not None else 0.0,
            largest_j=largest.joules if largest is not None else UNSEEN_J / STILL_PERIODS,
            smallest_j=smallest.joules if smallest is not None else 0.0,
        )


def _stood_still(view: CounterView, changes: Sequence[_Step]) -> Fault | None:
    times, _values = view.readings
    if not times:
        return None
    rising = _Rising([c for c in changes if c.joules > 0])
    stops = [times[0], *(c.t_ns for c in rising.steps), times[-1]]
    after: list[_Step | None] = [*rising.steps, None]
    stretches = [
        (a, b, c) for (a, b), c in zip(pairwise(stops), after, strict=True) if a < view.end_ns and b > view.start_ns
    ]
    for start_ns, end_ns, closing in sorted(stretches, key=lambda s: s[0] - s[1]):
        still = _missing(view, rising, start_ns, end_ns, closing)
        if still is not None:
            return still
    return None


def _missing(view: CounterView, rising: _Rising, start_ns: int, end_ns: int, closing: _Step | None) -> Fault | None:
    """The fault of one stretch without a change, where energy must have passed that its closing step does not hold."""
    inside_s = (min(end_ns, view.end_ns) - max(start_ns, view.start_ns)) / 1e9
    still_s = (end_ns - start_ns) / 1e9
    usual = rising.without(closing)
    gap_s = max(view.sampled_s, usual.longest_s) if usual.count >= 3 else view.sampled_s
    closed_j = closing.joules if closing is not None else 0.0
    if still_s < STILL_PERIODS * gap_s:
        return None
    passed_j = curve.integral(view.power, max(start_ns, view.start_ns), min(end_ns, view.end_ns))
    if passed_j is not None:
        if passed_j - closed_j <= STILL_PERIODS * usual.largest_j or passed_j <= 0:
            return None
        told = f"power says that {passed_j:.6g} J passed meanwhile"
    else:
        lowest_w = _lowest_w(view, [c for c in rising.steps if c is not closing], inside_s)
        # Less than its smallest step may be waiting to be shown, and what its next step holds beyond the usual was shown late.
        late_j = usual.smallest_j + max(0.0, closed_j - usual.largest_j)
        if lowest_w is None or late_j / still_s >= lowest_w:
            return None
        told = f"at {lowest_w:.3g} W and more it would have counted {lowest_w * inside_s:.3g} J"
    if (
        not any(c.t_ns > view.start_ns and c.before_ns < view.end_ns and c is not closing for c in rising.steps)
        and closing is None
    ):
        return Fault("counter_stuck", f"its counter stood still throughout, at an increase of 0 J, and {told}")
    return Fault("counter_froze", f"its counter stood still for {inside_s:.3g} s of the window, and {told}")


def _lowest_w(view: CounterView, others: Sequence[_Step], inside_s: float) -> float | None:
    """A power below which the device cannot have been meanwhile, where only its counter is known."""
    rest_s = (view.end_ns - view.start_ns) / 1e9 - inside_s
    counted_j = sum(c.joules for c in others if view.start_ns < c.t_ns <= view.end_ns)
    known = [FAINT * counted_j / rest_s] if rest_s > 0 and counted_j > 0 else []
    if view.idle_w is not None and view.idle_w > 0:
        known.append(0.3 * view.idle_w)
    return max(known, default=None)
