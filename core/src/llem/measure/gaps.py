"""Stretches of a window in which a meter said nothing: judged against the window and against its usual pace."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from llem.measure.series import Track

GAP_PERIODS = 6
"""A gap is at least so many usual distances between two readings."""

GAP_SHARE = 0.05
"""And so much of the window, or a second where that is shorter."""


def gaps_s(track: Track, open_ns: int, close_ns: int, hz: float) -> list[float]:
    """Lengths of the gaps that lie in the window, in seconds, longest first.

    A reading that tells neither energy nor power fills no gap; nor does one without the power that a device of power alone
    rests on.
    """
    window_s = (close_ns - open_ns) / 1e9
    times = [t for t in _told(track) if open_ns < t < close_ns]
    if not times:
        return []  # nothing was told at all, which is no gap
    distances = [b - a for a, b in pairwise([open_ns, *times, close_ns])]
    usual_s = max(1 / hz if hz > 0 else 0.0, median(b - a for a, b in pairwise(times)) / 1e9 if len(times) > 2 else 0.0)
    least_s = max(GAP_PERIODS * usual_s, min(GAP_SHARE * window_s, 1.0))
    return sorted((gap / 1e9 for gap in distances if gap / 1e9 > least_s), reverse=True)


def gap_share(track: Track, open_ns: int, close_ns: int, hz: float) -> float:
    """The part of the window that lies in gaps."""
    return sum(gaps_s(track, open_ns, close_ns, hz)) / ((close_ns - open_ns) / 1e9) if close_ns > open_ns else 0.0


def _told(track: Track) -> Sequence[int]:
    by_power = "counter" not in track.device.methods and "estimate" not in track.device.methods
    columns = zip(track.t_ns, track.energy_j, track.power_w, strict=True)
    return [t for t, energy_j, power_w in columns if power_w is not None or (energy_j is not None and not by_power)]
