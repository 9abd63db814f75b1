"""The counter of one device at an instant between its readings: exact at a tick, else told by the ticks beside it.

A counter says nothing between two ticks. Where power was read closely all the way from one tick to the next, the energy
between them divides as power did, whatever the scale of the card's power. Where it was read closely only from the instant
on, what was spent until the next tick is taken off that tick. Without close power it divides as what samples there are,
or in proportion to time.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from itertools import pairwise

from llem.measure import curve
from llem.measure.resolution import AVERAGED_FIELD, power_field
from llem.measure.series import Series, Track
from llem.measure.ticks import Tick

SHAPE_SAMPLES = 4
"""Samples of power between two ticks from which on they tell more than a straight line."""

CLOSE_NS = 10_000_000
"""Power was read closely where no two readings of it lie further apart."""

REACH_NS = 2_000_000_000
"""A tick further away tells nothing about an instant: no counter in use ticks more slowly."""


def counter_at(series: Series, track: Track, t_ns: int) -> float | None:
    """The counter at an edge or an instant that was asked for (J); None at any other time, or where no tick is near."""
    exact = series.edges.get(t_ns, {}).get(track.key)
    if exact is None and t_ns not in series.asked and t_ns not in series.asked.values():
        return None
    before, after = _ticks_beside(track, t_ns, exact)
    for tick in (before, after):
        if tick is not None and tick[0] == t_ns:
            return tick[1]
    power = _power(track, t_ns)
    if before is not None and after is not None:
        return _between_ticks(power, before, t_ns, after)
    nearest = after or before
    if nearest is None:
        return None
    low, high = min(nearest[0], t_ns), max(nearest[0], t_ns)
    energy_j = curve.integral(power, low, high)
    if energy_j is None:
        energy_j = curve.increase(curve.steps(curve.points(track.t_ns, track.energy_j)), low, high)
    if energy_j is None:
        return None
    return nearest[1] + energy_j if t_ns > nearest[0] else max(nearest[1] - energy_j, _shown(track, t_ns))


def told_by_ticks(series: Series, track: Track, t_ns: int) -> bool:
    """True where the counter at an instant rests on a tick right there, on one at each side, or on close power up to one."""
    exact = series.edges.get(t_ns, {}).get(track.key)
    if exact is not None:
        return True
    if counter_at(series, track, t_ns) is None:
        return False
    before, after = _ticks_beside(track, t_ns, None)
    if before is not None and after is not None:
        return True
    power = _power(track, t_ns)
    return (after is not None and _is_close(power, t_ns, after[0])) or (
        before is not None and _is_close(power, before[0], t_ns)
    )


def _ticks_beside(track: Track, t_ns: int, exact: Tick | None) -> tuple[Tick | None, Tick | None]:
    """The tick up to an instant and the one from it on. One since which the counter has moved is none."""
    at = bisect_left(track.ticks, t_ns, key=lambda tick: tick[0])
    after = track.ticks[at] if at < len(track.ticks) else None
    before = exact
    if before is None:
        before = track.ticks[at - 1] if at else None
        if before is not None and (t_ns - before[0] > REACH_NS or _shown(track, t_ns) > before[1]):
            before = None
    if after is not None and (after[0] - t_ns > REACH_NS or (before is not None and after[1] < before[1])):
        after = None
    return before, after


def _shown(track: Track, t_ns: int) -> float:
    """Last reading of the counter: at least so much was spent by then. Without a reading nothing is known."""
    at = bisect_right(track.t_ns, t_ns)
    return next((value for value in reversed(track.energy_j[:at][-SHAPE_SAMPLES:]) if value is not None), -math.inf)


def _power(track: Track, t_ns: int) -> curve.Points:
    """Power around an instant, sampled and read closely. Power that is averaged over a second tells nothing of instants."""
    if power_field(track.device.note) == AVERAGED_FIELD:
        return [], []
    near = track.around(t_ns - REACH_NS, t_ns + REACH_NS)
    first = bisect_left(track.close_t_ns, t_ns - REACH_NS)
    last = bisect_right(track.close_t_ns, t_ns + REACH_NS)
    found = dict(zip(*curve.points(near.t_ns, near.power_w), strict=True))
    found |= dict(zip(track.close_t_ns[first:last], track.close_power_w[first:last], strict=True))
    times = sorted(found)
    return times, [found[t] for t in times]


def _between_ticks(power: curve.Points, before: Tick, t_ns: int, after: Tick) -> float:
    """By the share of power in the whole, or from the tick after where only power from the instant on was read closely."""
    rise_j, inside = after[1] - before[1], bisect_left(power[0], after[0]) - bisect_left(power[0], before[0])
    rest_j, whole_j = curve.integral(power, t_ns, after[0]), curve.integral(power, before[0], after[0])
    if rest_j is not None and not _is_close(power, before[0], after[0]) and _is_close(power, t_ns, after[0]):
        return min(max(after[1] - rest_j, before[1]), after[1])
    if inside >= SHAPE_SAMPLES and rest_j is not None and whole_j is not None and whole_j > 0:
        return after[1] - rise_j * rest_j / whole_j
    return before[1] + rise_j * (t_ns - before[0]) / (after[0] - before[0])


def _is_close(power: curve.Points, start_ns: int, end_ns: int) -> bool:
    times = power[0]
    inside = times[bisect_left(times, start_ns) : bisect_right(times, end_ns)]
    return all(b - a <= CLOSE_NS for a, b in pairwise([start_ns, *inside, end_ns]))
