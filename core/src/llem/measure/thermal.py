"""Temperature, clocks, power limit and throttling of each device over the measured window. Pure functions."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from statistics import fmean

from llem.measure.series import Series, Track
from llem.results.models import DeviceThermal, ResultWarning
from llem.specs.sampler import THROTTLE_REASONS

NEAR_EDGE_NS = 1_000_000_000
"""Temperature is read less often than power: a reading this close to an edge of the window tells the edge's."""

IDLE = 0x001
"""Low clocks because there is no work: that slows nothing down."""

SLOWED = 0x008 | 0x020 | 0x040 | 0x080
"""The card was slowed by heat or by its supply. A power cap is not among them: it is the limit, which the result states."""

_TOLD = ("temperature_c", "gpu_clock_mhz", "memory_clock_mhz", "power_limit_w", "throttle_reasons")


def thermal(series: Series, open_ns: int, close_ns: int) -> list[DeviceThermal]:
    """One entry for each device that told anything of the kind in the window; what it did not tell is None.

    Args:
        series: what was read.
        open_ns, close_ns: the window.
    """
    return [
        _device(track, open_ns, close_ns)
        for track in series.tracks
        if any(list(_inside(track, name, open_ns - NEAR_EDGE_NS, close_ns + NEAR_EDGE_NS)) for name in _TOLD)
    ]


def thermal_warnings(
    series: Series, open_ns: int, close_ns: int, used: Collection[str] | None = None
) -> list[ResultWarning]:
    """Throttling and a power limit that was changed, in the window, of devices that the experiment uses.

    Args:
        series: what was read.
        open_ns, close_ns: the window.
        used: ids of the devices that the experiment uses; None for all.
    """
    found = []
    for track in series.tracks:
        device = track.device
        if used is not None and device.scope == "gpu" and device.id not in used:
            continue
        bits = [int(value) for _, value in _inside(track, "throttle_reasons", open_ns, close_ns)]
        slowed = [value for value in bits if value & SLOWED]
        if slowed:
            reasons = ", ".join(_names(value & SLOWED for value in slowed))
            found.append(
                ResultWarning(
                    code="thermal_throttle",
                    message=f"{device.name} ({device.id}) was throttled in {len(slowed) / len(bits):.0%} of the window's "
                    f"readings ({reasons}): its speed and energy are not those of a card that is cooled and fed well.",
                )
            )
        limits = sorted({value for _, value in _inside(track, "power_limit_w", open_ns, close_ns)})
        if len(limits) > 1:
            found.append(
                ResultWarning(
                    code="power_limit_changed",
                    message=f"the power limit of {device.name} ({device.id}) was changed in the window, "
                    f"between {limits[0]:g} and {limits[-1]:g} W.",
                )
            )
    return found


def _device(track: Track, open_ns: int, close_ns: int) -> DeviceThermal:
    temperatures = [value for _, value in _inside(track, "temperature_c", open_ns, close_ns)]
    start = _nearest(track, "temperature_c", open_ns, open_ns - NEAR_EDGE_NS, close_ns)
    end = _nearest(track, "temperature_c", close_ns, open_ns, close_ns + NEAR_EDGE_NS)
    limits = [value for _, value in _inside(track, "power_limit_w", open_ns, close_ns)]
    limit = min(limits) if limits else _nearest(track, "power_limit_w", open_ns, open_ns - NEAR_EDGE_NS, close_ns)
    return DeviceThermal(
        device=track.device.id,
        temperature_start_c=start,
        temperature_end_c=end,
        temperature_max_c=max([*temperatures, *(edge for edge in (start, end) if edge is not None)], default=None),
        gpu_clock_mean_mhz=_mean(track, "gpu_clock_mhz", open_ns, close_ns),
        memory_clock_mean_mhz=_mean(track, "memory_clock_mhz", open_ns, close_ns),
        power_limit_w=limit,
        throttle_reasons=_names(
            int(value) & ~IDLE for _, value in _inside(track, "throttle_reasons", open_ns, close_ns)
        ),
    )


def _inside(track: Track, name: str, start_ns: int, end_ns: int) -> Iterator[tuple[int, float]]:
    """Readings of one quantity between two times, both included."""
    for t_ns, telemetry in zip(track.t_ns, track.telemetry, strict=True):
        if name in telemetry and start_ns <= t_ns <= end_ns:
            yield t_ns, telemetry[name]


def _nearest(track: Track, name: str, edge_ns: int, start_ns: int, end_ns: int) -> float | None:
    """The reading nearest to an edge, of those between two times."""
    readings = ((abs(t_ns - edge_ns), value) for t_ns, value in _inside(track, name, start_ns, end_ns))
    return min(readings, default=(0, None), key=lambda reading: reading[0])[1]


def _mean(track: Track, name: str, open_ns: int, close_ns: int) -> float | None:
    values = [value for _, value in _inside(track, name, open_ns, close_ns)]
    return fmean(values) if values else None


def _names(bits: Iterator[int]) -> list[str]:
    """The reasons that occur, in the order of their bits; a bit that is not known here is named by its value."""
    seen = 0
    for value in bits:
        seen |= value
    return [THROTTLE_REASONS.get(1 << i, f"bit_{1 << i:#x}") for i in range(seen.bit_length()) if seen >> i & 1]
