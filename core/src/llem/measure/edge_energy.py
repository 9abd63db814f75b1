"""The counter of one device at an instant between its readings: exact at a tick, else told by the ticks beside it."""

from __future__ import annotations

from bisect import bisect_left

from llem.measure import curve
from llem.measure.resolution import AVERAGED_FIELD, power_field
from llem.measure.series import Series, Track

SHAPE_SAMPLES = 4
"""Samples of power between two ticks from which on they tell more than a straight line."""


def counter_at(series: Series, track: Track, edge_ns: int) -> float | None:
    """The counter at an edge. Several devices tick apart: between its ticks on both sides of the edge the counter is
    interpolated; without a tick after the edge power, or the counter's samples, tell the rest.
    """
    exact = series.edges.get(edge_ns, {}).get(track.key)
    if exact is None:
        return None
    tick_ns, energy_j = exact
    if tick_ns == edge_ns:
        return energy_j
    after = next((tick for tick in track.ticks if tick[0] >= edge_ns), None)
    if after is not None and tick_ns < edge_ns:
        share = _share(track, tick_ns, edge_ns, after[0])
        return energy_j + (after[1] - energy_j) * share if after[1] >= energy_j else None
    low, high = min(tick_ns, edge_ns), max(tick_ns, edge_ns)
    between = curve.integral(curve.points(track.t_ns, track.power_w), low, high)
    if between is None:
        between = curve.increase(curve.steps(curve.points(track.t_ns, track.energy_j)), low, high)
    if between is None:
        return None
    return energy_j + (between if edge_ns > tick_ns else -between)


def _share(track: Track, start_ns: int, edge_ns: int, end_ns: int) -> float:
    """Which part of the energy between two ticks was spent before an edge between them: in proportion to time, or to
    sampled power where enough samples lie there to show its course. Power that is averaged over a second shows none.
    """
    if edge_ns >= end_ns:
        return 1.0
    inside = bisect_left(track.t_ns, end_ns) - bisect_left(track.t_ns, start_ns)
    if inside >= SHAPE_SAMPLES and power_field(track.device.note) != AVERAGED_FIELD:
        power = curve.points(track.t_ns, track.power_w)
        part, whole = curve.integral(power, start_ns, edge_ns), curve.integral(power, start_ns, end_ns)
        if part is not None and whole:
            return part / whole
    return (edge_ns - start_ns) / (end_ns - start_ns)
