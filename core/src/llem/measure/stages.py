"""Prefill and decode apart: how much of the window's energy went into each. Pure functions over what happened.

A batch prefills from its release to its first token, and decodes from there to its last. The energy of a device over
the window is divided by the finer of its two curves, sampled power or counter:

    E(stage) = E(window) x sum of the curve over the stage's intervals / the curve over the whole window

so that both, and what lies between batches, add up to the window's figure. A meter cannot divide what is shorter than
it can see: then there is no figure, and the reason is given.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from statistics import median

from llem.measure import curve
from llem.measure.latency import Timing
from llem.measure.resolution import AVERAGED_FIELD, power_field
from llem.measure.series import Series, Track
from llem.measure.watts import whole_sum
from llem.results.models import DeviceEnergy, StageEnergy, Stages

RESOLVED = 5
"""An interval is divided off where it holds so many of the curve's own periods: each edge is known to about half a
period, so that at most a fifth of it can stand on the wrong side."""

Interval = tuple[int, int]


def stages(
    series: Series,
    devices: Sequence[DeviceEnergy],
    rows: Sequence[Timing],
    window: Interval,
    used: Collection[str] | None = None,
    headline: Collection[str] = (),
) -> Stages:
    """The window's energy by stage.

    Args:
        series: what was read.
        devices: the window's energy by device, as `window_energy` gives it.
        rows: the window's requests with their times.
        window: its edges (monotonic ns).
        used: ids of the devices that the experiment uses; other GPUs are left out. None for all.
        headline: ids of the devices whose sum is the window's headline.

    Returns:
        With `reason` and no figure where token times are missing, where requests of a batch are in different stages
        at once, or where the meter is too slow for the stage.
    """
    told = _intervals(rows)
    if isinstance(told, str):
        return Stages(reason=told)
    parts = {"prefill": told[0], "decode": told[1]}
    tracks = {track.key: track for track in series.tracks}
    energies: dict[str, dict[str, float]] = {name: {} for name in parts}
    reasons: list[str] = []
    for device in devices:
        track = tracks.get((device.sampler, device.device))
        wanted = device.scope != "gpu" or used is None or device.device in used
        if track is None or not wanted or device.energy_j is None or device.method == "estimate":
            continue
        chosen = _finest(track, series.hz)
        if chosen is None:
            continue
        period_s, points, cumulative = chosen
        whole = _amount(points, cumulative, [window])
        for name, intervals in parts.items():
            short_s = median((b - a) / 1e9 for a, b in intervals) if intervals else None
            if short_s is None or short_s < RESOLVED * period_s:
                if short_s is not None:
                    reasons.append(
                        f"{device.device}: {name} takes {short_s:.3g} s a batch, and {RESOLVED} periods of the meter "
                        f"({period_s:.3g} s each) are needed to tell its energy apart"
                    )
                continue
            part = _amount(points, cumulative, intervals)
            if part is not None and whole:
                energies[name][device.device] = device.energy_j * part / whole
    figures = {
        name: StageEnergy(
            duration_s=sum(b - a for a, b in intervals) / 1e9,
            energy_j=whole_sum(headline, energies[name]),
            devices_j=energies[name],
        )
        for name, intervals in parts.items()
        if intervals
    }
    if not any(energies.values()) and not reasons:
        reasons.append("no device was measured whose curve could be divided")
    return Stages(prefill=figures.get("prefill"), decode=figures.get("decode"), reason="; ".join(reasons) or None)


def _intervals(rows: Sequence[Timing]) -> tuple[list[Interval], list[Interval]] | str:
    """Prefill and decode of each batch, or why they cannot be told."""
    batches: dict[tuple[int, int], list[Timing]] = {}
    for row in rows:
        batches.setdefault((row.answer.pass_number, row.answer.batch_number), []).append(row)
    prefill: list[Interval] = []
    decode: list[Interval] = []
    for members in batches.values():
        times = [_times(row) for row in members]
        if not all(times):
            return "the engine gives no time for each token"
        first = max(t[0] for t in times)
        if any(len(t) > 1 and t[1] < first for t in times):
            return "requests of a batch prefill while others decode: their energy cannot be told apart"
        last = max(t[-1] for t in times)
        prefill.append((members[0].answer.released_ns, first))
        if last > first:
            decode.append((first, last))
    return prefill, decode


def _times(row: Timing) -> Sequence[int]:
    return row.times or ()


def _finest(track: Track, hz: float) -> tuple[float, curve.Points, bool] | None:
    """Period in seconds and samples of the curve that changes most often; True where it is cumulative."""
    sampled_s = 1 / hz if hz > 0 else 0.0
    updated_s = track.device.update_period_s or 0.0
    candidates: list[tuple[float, curve.Points, bool]] = []
    power = curve.points(track.t_ns, track.power_w)
    if len(power[0]) > 1:
        averaged_s = 1.0 if power_field(track.device.note) == AVERAGED_FIELD else 0.0
        candidates.append((max(sampled_s, averaged_s, updated_s), power, False))
    counter = curve.points(track.t_ns, track.energy_j)
    if len(counter[0]) > 1:
        candidates.append((max(sampled_s, updated_s), counter, True))
    return min(candidates, key=lambda candidate: (candidate[0], candidate[2]), default=None)


def _amount(points: curve.Points, cumulative: bool, intervals: Sequence[Interval]) -> float | None:
    """Joules by the curve over all intervals; None where it does not reach one of them."""
    total = 0.0
    for start_ns, end_ns in intervals:
        part = (curve.increase if cumulative else curve.integral)(points, start_ns, end_ns)
        if part is None:
            return None
        total += part
    return total
