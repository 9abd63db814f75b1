"""Disturbances of the measured window from outside: other processes on a device, a host that slept, slow or missing
readings. Pure functions over what was read."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import pairwise
from statistics import median

from llem.measure.series import Key, Series, Track
from llem.results.models import ResultWarning

NOTICED_NS = 1_000_000_000
"""Longest time after a suspension until it is noticed."""

SLOW = 2.0
"""Readings that come this many times further apart than asked for are slow."""

SLOW_SHARE = 0.2
"""Slow readings are told where they take so much of the window."""


def disturbance_warnings(
    series: Series, open_ns: int, close_ns: int, used: Collection[str] | None = None
) -> list[ResultWarning]:
    """Warnings for a reader of the window's figures, devices that the experiment does not use left out.

    Args:
        series: what was read.
        open_ns, close_ns: the window.
        used: ids of the devices that the experiment uses; None for all.
    """
    tracks = [t for t in series.tracks if t.device.scope != "gpu" or used is None or t.device.id in used]
    found = [*_shared(series, tracks, open_ns, close_ns), *_slow(series, tracks, open_ns, close_ns)]
    if series.suspended_ns:
        inside_ns = sum(ns for t_ns, ns in series.suspensions if open_ns < t_ns <= close_ns + NOTICED_NS)
        code = "host_suspended" if inside_ns else "host_suspended_outside"
        found.append(ResultWarning(code=code, message=_slept(series.suspended_ns, inside_ns)))
    return found


def _slept(all_ns: int, inside_ns: int) -> str:
    if inside_ns:
        return (
            f"the host was suspended for {inside_ns / 1e9:.3g} s within the measured window: hardware counters may have "
            "gone on while the clock stood still, so energy, mean power and speed are doubtful."
        )
    return (
        f"the host was suspended for {all_ns / 1e9:.3g} s during the experiment, outside the measured window: the idle "
        "baseline, warm-up and energy of other phases are doubtful."
    )


def _shared(series: Series, tracks: list[Track], open_ns: int, close_ns: int) -> Iterator[ResultWarning]:
    keys = {track.key: track.device for track in tracks}
    seen: dict[Key, dict[int, str]] = {}
    held_ns: dict[Key, int] = {}
    ends = [*(t_ns for t_ns, _ in series.foreign[1:]), max(close_ns, *(t for t, _ in series.foreign), 0)]
    for (start_ns, holders), end_ns in zip(series.foreign, ends, strict=True) if series.foreign else ():
        inside_ns = min(end_ns, close_ns) - max(start_ns, open_ns)
        for key, processes in holders.items():
            if key in keys and inside_ns > 0:
                seen.setdefault(key, {}).update(processes)
                held_ns[key] = held_ns.get(key, 0) + inside_ns
    for key, processes in seen.items():
        listed = ", ".join(f"{pid} ({name})" if name else str(pid) for pid, name in sorted(processes.items()))
        yield ResultWarning(
            code="gpu_shared",
            message=f"{keys[key].name} ({keys[key].id}) was shared with process(es) {listed} for about "
            f"{held_ns[key] / 1e9:.3g} s of the measured window: their work is in its energy and speed.",
        )


def _slow(series: Series, tracks: list[Track], open_ns: int, close_ns: int) -> Iterator[ResultWarning]:
    """Samplers whose readings often came much further apart than asked for, one warning each.

    Often: several gaps that take a fifth of the window together. A single one is told as `sampling_gap`.
    """
    told: set[str] = set()
    for track in tracks:
        inside = [t for t in track.t_ns if open_ns <= t <= close_ns]
        if track.sampler in told or series.hz <= 0 or not inside:
            continue
        gaps = [b - a for a, b in pairwise([open_ns, *inside, close_ns])]
        wide = [gap for gap in gaps if gap > SLOW * 1e9 / series.hz]
        if len(wide) > 1 and sum(wide) > SLOW_SHARE * (close_ns - open_ns):
            told.add(track.sampler)
            gap_s = median(wide) / 1e9
            share = 2 * gap_s / ((close_ns - open_ns) / 1e9)
            yield ResultWarning(
                code="slow_sampling",
                message=f"readings of {track.sampler} came about every {gap_s:.3g} s instead of every "
                f"{1 / series.hz:.3g} s for {sum(wide) / (close_ns - open_ns):.0%} of the window: its driver or the host "
                f"is slow. Where the edges were not read exactly, its energy is uncertain by up to {share:.1%}.",
            )
