"""Resolution of a meter: its update period as it is seen, how long a window must be for it, and where averaged power
tells nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise
from statistics import fmean, median

from llem.measure import curve
from llem.measure.series import Track
from llem.specs.sampler import Device, card_of, on_card

MIN_PERIODS = 50
"""A window is at least so many update periods of the device long."""

LONGEST_WINDOW_S = 120.0
"""A window is lengthened for a slow meter up to here; beyond, only whoever asks for it gets so long a one."""

MIN_CHANGES = 5
"""A period is told from so many changes on."""

FINER = 1.5
"""A value that changes after fewer usual distances between two readings is faster than it is read."""

AVERAGED_FIELD = "nvmlDeviceGetPowerUsage"
"""NVML's field that shows an average over the last second on cards after GA100."""


def rests_on_average(device: Device) -> bool:
    """Its energy can be told by power alone, and that is an average over a time that the device names."""
    averaged = device.methods == {"power"} and power_field(device.note) == AVERAGED_FIELD
    return averaged and device.update_period_s is not None


def resolves(device: Device, window_s: float) -> bool:
    """False for a window that is shorter than one update of the device, and for averaged power in a window that is short
    beside the time it averages over: it then shows what was before the window as much as the window itself.
    """
    period_s = device.update_period_s or 0.0
    return window_s >= period_s * (MIN_PERIODS if rests_on_average(device) else 1)


def steps_resolve(period_s: float | None, window_s: float) -> bool:
    """False where a counter was seen to step so seldom that the window holds hardly two of its steps.

    Its figure rests on the steps beside the edges then, and not on what was between them. Edges that were read right at its
    steps need no more than one.
    """
    return period_s is None or window_s >= 2 * period_s


def seen_period_s(track: Track, hz: float, start_ns: int | None = None, end_ns: int | None = None) -> float | None:
    """Period at which the value that the device's energy rests on is seen to change, in seconds.

    Args:
        track: its readings.
        hz: readings a second that were asked for.
        start_ns, end_ns: looked at first; where too few changes lie there, all readings are.

    Returns:
        None where it changes at nearly each reading, or too seldom to tell. Of power only a regular change is a period:
        a coarse reading of steady power stays the same for any time.
    """
    by_counter = track.device.methods & {"counter", "estimate"}
    readings = curve.points(track.t_ns, track.energy_j if by_counter else track.power_w)
    parts = [readings]
    if start_ns is not None and end_ns is not None:
        inside = [(t, v) for t, v in zip(*readings, strict=True) if start_ns <= t <= end_ns]
        parts.insert(0, ([t for t, _ in inside], [v for _, v in inside]))
    for part in parts:
        changes = curve.steps(part)[0][1:]
        if part is readings and by_counter and 1 <= len(changes) < MIN_CHANGES:
            return _least_period_s(part[0], changes)
        if len(changes) >= MIN_CHANGES:
            gaps = [(b - a) / 1e9 for a, b in pairwise(changes)]
            read_s = max(median((b - a) / 1e9 for a, b in pairwise(part[0])), 1 / hz if hz > 0 else 0.0)
            period_s = _period_s(gaps)
            told = period_s >= FINER * read_s and (by_counter or _regular(gaps, read_s))
            return period_s if told else None
    return None


def _least_period_s(times: Sequence[int], changes: Sequence[int]) -> float | None:
    """Of a counter that hardly ever moved: the longest time between two of its steps, or without one."""
    stops = changes if len(changes) > 2 else [times[0], *changes, times[-1]]
    longest_s = max((b - a) / 1e9 for a, b in pairwise(stops))
    return longest_s if longest_s > FINER * median((b - a) / 1e9 for a, b in pairwise(times)) else None


def _period_s(gaps: Sequence[float]) -> float:
    """Their mean, those left out in which several changes were missed."""
    usual = median(gaps)
    return fmean(gap for gap in gaps if gap <= 3 * usual)


def _regular(gaps: Sequence[float], read_s: float) -> bool:
    usual = median(gaps)
    return sum(abs(gap - usual) <= 0.3 * usual + read_s for gap in gaps) >= 0.8 * len(gaps)


def period_s(track: Track, hz: float) -> float | None:
    """The period that a window has to hold many of: as seen so far, before work and under it; else as the device says it.

    A counter that changes at each reading is no slower than it is read, whatever it says of itself.
    """
    device = track.device
    declared_s = device.update_period_s
    if rests_on_average(device):
        return declared_s
    seen = seen_period_s(track, hz)
    if seen is not None:
        recent = seen_period_s(track, hz, track.t_ns[-1] - 10_000_000_000, track.t_ns[-1])
        return min(seen, recent) if recent is not None else seen
    if "counter" not in device.methods or declared_s is None or hz <= 0:
        return None
    changes = len(curve.steps(curve.points(track.t_ns, track.energy_j))[0]) - 1
    return min(declared_s, 1 / hz) if changes >= MIN_CHANGES else declared_s


def resolved_window_s(tracks: Iterable[Track], used: Collection[str], hz: float) -> float:
    """The shortest window that the meters in use can resolve: `MIN_PERIODS` of the slowest, however long that is."""
    periods = [
        found
        for track in tracks
        if (not on_card(track.device.scope) or card_of(track.device.id) in used)
        and track.device.methods != {"estimate"}
        and (found := period_s(track, hz)) is not None
    ]
    return MIN_PERIODS * max(periods, default=0.0)


def power_field(note: str | None) -> str | None:
    """The name of the power field that a device's note gives, as `power field NAME`."""
    words = (note or "").replace(";", " ").replace(",", " ").replace(":", " ").split()
    return next(
        (name for a, b, name in zip(words, words[1:], words[2:], strict=False) if (a, b) == ("power", "field")), None
    )
