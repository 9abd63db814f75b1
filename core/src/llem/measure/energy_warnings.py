"""What a reader of the window's energy must know. Pure functions over what was read."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise

from llem.measure import curve
from llem.measure.energy import gpus_in_use
from llem.measure.resolution import MIN_PERIODS, resolves, rests_on_average
from llem.measure.series import Series, Track
from llem.results.models import DeviceEnergy, Method, ResultWarning

WARN_FROM = 0.02
"""Disagreement of counter and integral from which a warning is given."""


def energy_warnings(
    series: Series,
    devices: Sequence[DeviceEnergy],
    open_ns: int,
    close_ns: int,
    used: Collection[str] | None = None,
) -> list[ResultWarning]:
    """What a reader of the window's figures must know, devices that the experiment does not use left out."""
    found: list[ResultWarning] = []

    def warn(code: str, message: str) -> None:
        found.append(ResultWarning(code=code, message=message))

    window_s = (close_ns - open_ns) / 1e9
    tracks = {track.key: track for track in series.tracks}
    for missing in sorted(set(gpus_in_use(devices, used)) - {d.device for d in devices}):
        warn(
            "energy_unmeasured", f"{missing} is in use and was not metered: its energy is unknown, and so is the total."
        )
    for d in devices:
        track = tracks.get((d.sampler, d.device))
        if track is None or (d.scope == "gpu" and used is not None and d.device not in used):
            continue
        where = f"{d.name} ({d.device})"
        if rests_on_average(track.device) and not resolves(track.device, window_s):
            warn(
                "averaged_power",
                f"{where}: it has no energy counter, and its power field is an average over "
                f"{track.device.update_period_s:g} s, which tells nothing about a window of {window_s:.3g} s. "
                f"measurement.min_window_s must be at least {MIN_PERIODS * (track.device.update_period_s or 0):g}.",
            )
        if d.energy_j is None:
            short = "" if resolves(track.device, window_s) else " It is shorter than one update of the device."
            warn("energy_unmeasured", f"{where}: no energy could be told for the window.{short} {d.note or ''}".strip())
            continue
        if "counter" in track.device.methods and d.counter_j is None:
            warn("counter_failed", f"{where}: the energy counter failed or went backwards; the figure is from power.")
        if d.disagreement is not None and d.disagreement >= WARN_FROM:
            warn(
                "energy_disagreement",
                f"{where}: counter {d.counter_j:.6g} J and integrated power {d.power_j:.6g} J "
                f"differ by {d.disagreement:.1%}{'; the figure is unreliable' if d.unreliable else ''}.",
            )
        period_s = _period_s(track, d.method, series.hz)
        if period_s is not None and window_s < MIN_PERIODS * period_s:
            warn(
                "short_window",
                f"{where}: the window of {window_s:.3g} s is shorter than {MIN_PERIODS} update periods of "
                f"{period_s:.3g} s. measurement.min_window_s lengthens it.",
            )
        gap_s = _longest_gap_s(track, open_ns, close_ns)
        if gap_s > max(1.0, 10 / series.hz):
            how = (
                "power was interpolated"
                if d.method == "power"
                else "the counter went on, and what power, temperature and clocks did there is not known"
            )
            warn("sampling_gap", f"{where}: {gap_s:.3g} s of the window have no reading; {how}.")
    return found


def _period_s(track: Track, method: Method, hz: float) -> float | None:
    """The update period that the figure rests on: the device's own, or the one that is seen where that is longer."""
    seen = curve.update_period_s(curve.points(track.t_ns, track.energy_j)) if method == "counter" else None
    # A value that changes at each sample shows the sampling period, not its own.
    if seen is not None and hz > 0 and seen < 1.5 / hz:
        seen = None
    known = [p for p in (track.device.update_period_s, seen, 1 / hz if method == "power" and hz > 0 else None) if p]
    return max(known) if known else None


def _longest_gap_s(track: Track, open_ns: int, close_ns: int) -> float:
    inside = [open_ns, *(t for t in track.t_ns if open_ns < t < close_ns), close_ns]
    return max(b - a for a, b in pairwise(inside)) / 1e9
