"""A sampler's readings as they are let in: any sampler may be wrong, and none may harm the others or pass for a figure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

Row = tuple[int, int, float | None, float | None, dict[str, float]]
"""Index of the device, monotonic ns, joules, watts, telemetry."""


AHEAD_NS, BEHIND_NS = 1_000_000, 1_000_000_000
"""A reading's time lies within the call that read it. One this far ahead of that, or behind, is by another clock; who reads in
the background may lag a little.
"""


def rows_of(
    readings: object, indices: Mapping[str, int], last_ns: dict[int, int], begun_ns: int, now_ns: int
) -> tuple[list[Row], str | None]:
    """The readings that are some, and what was wrong with the first that is none.

    Args:
        readings: what a sampler's `read` returned.
        indices: index by id of the sampler's own devices.
        last_ns: time of the last reading by index; brought up to date.
        begun_ns, now_ns: before `read` was called, and after it returned.
    """
    rows: list[Row] = []
    wrong: str | None = None
    if not isinstance(readings, Iterable):
        return rows, f"it gave {type(readings).__name__} instead of readings"
    for reading in readings:
        row, fault = _row_of(reading, indices, last_ns, begun_ns, now_ns)
        wrong = wrong or fault
        if row is not None:
            last_ns[row[0]] = row[1]
            rows.append(row)
    return rows, wrong


def _row_of(
    reading: Any, indices: Mapping[str, int], last_ns: Mapping[int, int], begun_ns: int, now_ns: int
) -> tuple[Row | None, str | None]:
    device, t_ns = getattr(reading, "device", None), getattr(reading, "t_ns", None)
    if not isinstance(device, str) or device not in indices:
        return None, f"it gave a reading of {device!r}, which is none of its devices"
    if not isinstance(t_ns, int) or isinstance(t_ns, bool):
        return None, f"it gave a reading of {device} at {t_ns!r}, which is no time in nanoseconds"
    index = indices[device]
    before_ns = last_ns.get(index)
    off_ns = max(t_ns - now_ns - AHEAD_NS, 0) or min(t_ns - begun_ns + BEHIND_NS, 0)
    if off_ns and t_ns != before_ns:
        way = f"{(t_ns - now_ns) / 1e9:.3g} s ahead of" if off_ns > 0 else f"{(begun_ns - t_ns) / 1e9:.3g} s behind"
        return None, f"it gave a reading of {device} that is {way} the clock: its times are of another one"
    if before_ns is not None and t_ns <= before_ns:
        # Right at an edge a device may be read twice within the clock's resolution.
        fault = f"it gave a reading of {device} that is {(before_ns - t_ns) / 1e9:.3g} s older than the one before"
        return None, fault if t_ns < before_ns else None
    energy_j, energy_fault = number(reading.energy_j)
    power_w, power_fault = number(reading.power_w)
    none = energy_fault or power_fault
    telemetry = reading.telemetry if isinstance(reading.telemetry, Mapping) else {}
    known = {str(name): value for name, given in telemetry.items() if (value := number(given)[0]) is not None}
    return (index, t_ns, energy_j, power_w, known), f"it gave {none} for {device}" if none else None


def number(value: object) -> tuple[float | None, str | None]:
    """A finite number, or None with what it is instead; None itself is nothing wrong."""
    if value is None:
        return None, None
    try:
        found = None if isinstance(value, bool | str | bytes) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        found = None
    if found is None or not math.isfinite(found):
        return None, repr(value)[:40]
    return found, None


def counters_of(found: object, indices: Mapping[str, int]) -> dict[int, tuple[int, float]]:
    """Values of a ticking sampler's `counters`, by index, where it is a time and a finite number."""
    told: dict[int, tuple[int, float]] = {}
    for device, pair in found.items() if isinstance(found, Mapping) else ():
        if device in indices and isinstance(pair, tuple | list) and len(pair) == 2 and isinstance(pair[0], int):
            energy_j = number(pair[1])[0]
            if energy_j is not None:
                told[indices[device]] = (pair[0], energy_j)
    return told
