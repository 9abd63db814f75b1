"""Readings of one run, brought together in intervals of time: few numbers, whatever the rate and length of the recording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llem.plugin_api import RESULT, TIMESERIES, ResultError, read_object
from llem_analysis.run_file import table_of

BINS, FEWEST = 240, 4
"""Numbers of intervals, at most and at least."""


@dataclass(frozen=True)
class Reading:
    """Mean power and highest temperature over an interval of time.

    Attributes:
        start_s, end_s: since the measured window opened.
        power_w: of all the devices together; None where one of them has no reading.
        temperature_c: of the hottest device; None where none tells it.
    """

    start_s: float
    end_s: float
    power_w: float | None
    temperature_c: float | None


@dataclass(frozen=True)
class Recording:
    """One run over time.

    Attributes:
        phases: name, start and end in seconds since the window opened.
        devices: whose power is added up.
    """

    readings: Sequence[Reading]
    phases: Sequence[tuple[str, float, float]]
    devices: Sequence[str]


def recording(job: Path) -> Recording | None:
    """The run of a job directory; None where it has no readings of the devices that its energy is of."""
    try:
        result = read_object(job / RESULT, "result")
    except ResultError:
        return None
    table = table_of(job / TIMESERIES, ("t_s", "device", "energy_j", "power_w", "temperature_c"))
    if table is None:
        return None
    devices = ((result.get("energy") or {}).get("headline") or {}).get("devices") or []
    open_ns = int((table.schema.metadata or {}).get(b"llem.open_ns", 0))
    phases = [
        (str(phase["name"]), (phase["start_ns"] - open_ns) / 1e9, (phase["end_ns"] - open_ns) / 1e9)
        for phase in result.get("phases") or ()
    ]
    if not (devices and phases and open_ns and table.num_rows):
        return None
    by_device: dict[str, dict[str, Any]] = {}
    names = table.column("device").to_pylist()
    columns = {
        key: table.column(key).to_pylist()
        for key in ("t_s", "energy_j", "power_w", "temperature_c")
        if key in table.column_names
    }
    for number, name in enumerate(names):
        if name is not None and name in devices:
            held = by_device.setdefault(name, {key: [] for key in columns})
            for key, values in columns.items():
                held[key].append(values[number])
    if len(by_device) < len(devices):
        return None
    readings = _binned(list(by_device.values()), phases[0][1], phases[-1][2])
    return Recording(readings, phases, devices) if any(r.power_w is not None for r in readings) else None


def _binned(devices: Sequence[Mapping[str, Sequence[float | None]]], start: float, end: float) -> list[Reading]:
    import numpy as np

    # An interval shorter than the time between two readings would often hold none.
    bins = max(FEWEST, min(BINS, min(len(device["t_s"]) for device in devices) // 2))
    edges = np.linspace(start, end, bins + 1)
    powers, temperatures = [], []
    for device in devices:
        t = _numbers(device["t_s"])
        power = _numbers(device.get("power_w", ()))
        energy = _numbers(device.get("energy_j", ()))
        if power.size and not np.isnan(power).all():
            powers.append(_means(t, power, edges))
        else:
            powers.append(_slopes(t, energy, edges))
        if device.get("temperature_c"):
            temperatures.append(_means(t, _numbers(device["temperature_c"]), edges))
    power = np.sum(powers, axis=0)
    heat = np.full(bins, np.nan)
    for one in temperatures:
        heat = np.fmax(heat, one)
    return [
        Reading(float(a), float(b), _plain(p), _plain(h))
        for a, b, p, h in zip(edges[:-1], edges[1:], power, heat, strict=True)
    ]


def _numbers(values: Sequence[float | None]) -> Any:
    import numpy as np

    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _means(t: Any, values: Any, edges: Any) -> Any:
    """The mean of the values in each interval, NaN where there is none."""
    import numpy as np

    good = ~np.isnan(values)
    total, _ = np.histogram(t[good], edges, weights=values[good])
    count, _ = np.histogram(t[good], edges)
    return np.divide(total, count, out=np.full(count.size, np.nan), where=count > 0)


def _slopes(t: Any, energy: Any, edges: Any) -> Any:
    """Mean power by a counter's rise over each interval, NaN beyond its readings. A counter that ticks is a line between ticks."""
    import numpy as np

    good = ~np.isnan(energy)
    t, energy = t[good], energy[good]
    if t.size < 2:
        return np.full(edges.size - 1, np.nan)
    # Only where the counter moved: between two ticks nothing is known but the mean.
    moved = np.concatenate([[True], np.diff(energy) > 0])
    moved[-1] = True
    at = np.interp(edges, t[moved], energy[moved], left=np.nan, right=np.nan)
    return np.diff(at) / np.diff(edges)


def _plain(value: Any) -> float | None:
    import numpy as np

    return None if np.isnan(value) else float(f"{value:.4g}")
