"""Warnings for a reader of the window's energy. Pure functions over what was read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from llem.measure import curve
from llem.measure.energy import gpus_in_use
from llem.measure.gaps import gaps_s
from llem.measure.resolution import MIN_PERIODS, period_s, resolves, rests_on_average, steps_resolve
from llem.measure.series import Series, Track
from llem.results.models import DeviceEnergy, EnergyFigure, ResultWarning
from llem.specs.sampler import card_of, on_card

WARN_FROM = 0.02
"""Disagreement of counter and integral from which a warning is given."""


def energy_warnings(
    series: Series,
    devices: Sequence[DeviceEnergy],
    open_ns: int,
    close_ns: int,
    used: Collection[str] | None = None,
    headline: EnergyFigure | None = None,
) -> list[ResultWarning]:
    """Warnings for a reader of the window's figures, devices that the experiment does not use left out.

    Args:
        series: what was read.
        devices: as `window_energy` gives them.
        open_ns, close_ns: the window.
        used: ids of the devices that the experiment uses; None for all.
        headline: as `breakdown` gives it. A device beside it that gave nothing leaves it whole.
    """
    found: list[ResultWarning] = []
    silent = "energy_unmeasured" if headline is None else "scope_unmeasured"
    for missing in sorted(set(gpus_in_use(devices, used)) - {card_of(d.device) for d in devices}):
        message = f"{missing} is in use and was not metered: its energy is unknown, and so is the total of all GPUs."
        found.append(ResultWarning(code=silent, message=message))
    tracks = {track.key: track for track in series.tracks}
    for d in devices:
        track = tracks.get((d.sampler, d.device))
        if track is None or (on_card(d.scope) and used is not None and card_of(d.device) not in used):
            continue
        found += d.doubts
        found += _of_device(series, track, d, open_ns, close_ns, silent)
    told = " ".join(warning.message for warning in found)
    for sampler, complaint in series.complaints.items():
        if complaint not in told:
            found.append(
                ResultWarning(
                    code="reading_refused",
                    message=f"the sampler {sampler} gave something that is no reading, and it was left out: {complaint}. "
                    "What else it gave was used.",
                )
            )
    return found


def _of_device(
    series: Series, track: Track, d: DeviceEnergy, open_ns: int, close_ns: int, silent: str
) -> Iterator[ResultWarning]:
    window_s = (close_ns - open_ns) / 1e9
    where = f"{d.name} ({d.device})"
    complaint = f" Its sampler failed: {series.complaints[d.sampler]}." if d.sampler in series.complaints else ""
    if d.same_as is not None:
        yield ResultWarning(
            code="same_meter",
            message=f"{where} rises by the same amounts at the same times as {d.same_as}: it is one meter under two names, "
            f"and is counted once, as {d.same_as}.",
        )
    if rests_on_average(track.device) and not resolves(track.device, window_s):
        yield ResultWarning(
            code="averaged_power",
            message=f"{where}: it has no energy counter, and its power field is an average over "
            f"{track.device.update_period_s:g} s, which tells nothing about a window of {window_s:.3g} s. "
            f"measurement.min_window_s must be at least {MIN_PERIODS * (track.device.update_period_s or 0):g}.",
        )
    gaps = gaps_s(track, open_ns, close_ns, series.hz)
    if gaps:
        yield ResultWarning(code="sampling_gap", message=_gap(where, d, gaps, window_s) + complaint)
    if d.energy_j is None:
        short = "" if resolves(track.device, window_s) else " It is shorter than one update of the device."
        if not steps_resolve(d.update_period_s, window_s):
            short = f" Its counter was seen to move every {d.update_period_s:.3g} s, and the window is {window_s:.3g} s long."
        text = f"{where}: no energy could be told for the window.{short}{_missing(track, open_ns, close_ns)}{complaint} {d.note or ''}".strip()
        yield ResultWarning(code=silent, message=text)
        return
    counter_lost = "counter" in track.device.methods and d.counter_j is None and d.disagreement is None
    if counter_lost and not any(w.code.startswith("counter_") for w in d.doubts):
        yield ResultWarning(
            code="counter_failed",
            message=f"{where}: the energy counter failed in the window; the figure is from power.{complaint}",
        )
    if d.counter_j is not None and d.power_j is not None and d.disagreement is not None and d.disagreement >= WARN_FROM:
        yield ResultWarning(
            code="energy_disagreement",
            message=f"{where}: counter {d.counter_j:.6g} J and integrated power {d.power_j:.6g} J "
            f"differ by {d.disagreement:.1%}{'; the figure is unreliable' if d.unreliable else ''}.",
        )
    needed_s = _needed_s(track, d, series.hz)
    if window_s < needed_s:
        beside = (
            "" if steps_resolve(d.update_period_s, window_s) or d.method != "power" else "; the figure is from power"
        )
        yield ResultWarning(
            code="short_window",
            message=f"{where}: the window of {window_s:.3g} s is shorter than {MIN_PERIODS} update periods of "
            f"{needed_s / MIN_PERIODS:.3g} s{beside}. measurement.min_window_s={needed_s:.3g} makes it long enough.",
        )


def _missing(track: Track, open_ns: int, close_ns: int) -> str:
    """Where the readings end that the figure would rest on."""
    by_counter = bool(track.device.methods & {"counter", "estimate"}) and any(e is not None for e in track.energy_j)
    times = curve.points(track.t_ns, track.energy_j if by_counter else track.power_w)[0]
    what = "energy" if by_counter else "power"
    if not times:
        return " It gave neither energy nor power at any time."
    if times[-1] < open_ns:
        return f" The last reading of its {what} is {(open_ns - times[-1]) / 1e9:.3g} s older than the window."
    if times[-1] < close_ns:
        return f" The last reading of its {what} is {(close_ns - times[-1]) / 1e9:.3g} s before the end of the window."
    if times[0] > open_ns:
        return f" The first reading of its {what} is {(times[0] - open_ns) / 1e9:.3g} s after the window opened."
    column = track.energy_j if by_counter else track.power_w
    failed = sum(v is None for t, v in zip(track.t_ns, column, strict=True) if open_ns < t <= close_ns)
    return f" {failed} of its readings in the window gave no {what}." if failed else ""


def _needed_s(track: Track, device: DeviceEnergy, hz: float) -> float:
    """The window that the figure's own meter needs: by the period that was seen in it, else over the whole experiment."""
    if device.method == "estimate":
        return MIN_PERIODS * (track.device.update_period_s or 0.0)
    known = [device.update_period_s if device.update_period_s is not None else period_s(track, hz)]
    if device.method == "power" and hz > 0:
        known.append(1 / hz)
    return MIN_PERIODS * max((p for p in known if p is not None), default=0.0)


def _gap(where: str, device: DeviceEnergy, gaps: Sequence[float], window_s: float) -> str:
    how = (
        "power was interpolated there"
        if device.method == "power"
        else "what the meter showed there is not known"
        if device.energy_j is None
        else "the counter went on, and what power, temperature and clocks did there is not known"
    )
    longest = f" (the longest {gaps[0]:.3g} s)" if len(gaps) > 1 else ""
    return (
        f"{where}: {sum(gaps):.3g} s of the window of {window_s:.3g} s{longest}, {sum(gaps) / window_s:.0%}, "
        f"have no reading; {how}."
    )
