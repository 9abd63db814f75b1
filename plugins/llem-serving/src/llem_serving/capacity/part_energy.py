"""Energy of each part of a window, from the readings of a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from llem.plugin_api import TIMESERIES, EnergyBreakdown
from llem_analysis.run_file import table_of
from llem_serving.capacity.normal import Floats

_COLUMNS = ("t_s", "device", "sampler", "energy_j", "power_w")


def part_energy(job_dir: Path, energy: EnergyBreakdown, parts: int) -> Sequence[float] | None:
    """Joules of each of so many equal parts of the window, over the headline's devices.

    They add up to the headline's energy; the readings say how it is divided. None where nothing was measured, or where a part
    cannot be told.
    """
    headline, table = energy.headline, table_of(job_dir / TIMESERIES, _COLUMNS)
    if headline is None or table is None or set(table.column_names) != set(_COLUMNS):
        return None
    joules, window_s = headline.energy_j, energy.window_s
    if joules is None or window_s is None:
        return None
    edges = np.linspace(0.0, window_s, parts + 1)
    read_by = {one.device: one.sampler for one in energy.devices}
    columns = {name: np.array(table.column(name).to_pylist()) for name in _COLUMNS}
    found = np.zeros(parts)
    for device in headline.devices:
        own = (columns["device"] == device) & (columns["sampler"] == read_by.get(device))
        t_s, counted, power_w = (columns[name][own].astype(np.float64) for name in ("t_s", "energy_j", "power_w"))
        reached = _counted(t_s, counted, edges)
        if reached is None:
            reached = _integrated(t_s, power_w, edges)
        if reached is None:
            return None
        found += np.diff(reached)
    whole = float(found.sum())
    if not (math.isfinite(whole) and whole > 0 and (found > 0).all()):
        return None
    shares: list[float] = (found / whole).tolist()
    return [share * joules for share in shares]


def _counted(t_s: Floats, joules: Floats, edges: Floats) -> Floats | None:
    """A counter at the edges."""
    there = np.isfinite(joules)
    if there.sum() < len(edges):
        return None
    found: Floats = np.interp(edges, t_s[there], joules[there])
    return found


def _integrated(t_s: Floats, watts: Floats, edges: Floats) -> Floats | None:
    """The integral of power up to the edges, by the trapezoid rule."""
    there = np.isfinite(watts)
    if there.sum() < len(edges):
        return None
    t_s, watts = t_s[there], watts[there]
    reached = np.concatenate([[0.0], np.cumsum(np.diff(t_s) * (watts[1:] + watts[:-1]) / 2)])
    found: Floats = np.interp(edges, t_s, reached)
    return found
