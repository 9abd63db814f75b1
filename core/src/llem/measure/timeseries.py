"""`timeseries.parquet`: a row for each reading of each device over the whole experiment, with units in the schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llem.measure.series import Series
from llem.results.table_file import column_of, write_table_file

COLUMNS: tuple[tuple[str, str, str, str], ...] = (
    ("t_s", "float64", "s", "time of the reading since the measured window opened; negative before it"),
    ("device", "string", "1", "stable id of the device, as in result.json"),
    ("sampler", "string", "1", "who read it"),
    ("scope", "string", "1", "what the device's figures cover: gpu, module, cpu, dram or host"),
    ("energy_j", "float64", "J", "cumulative energy from an arbitrary zero; an estimate where the device is one"),
    ("power_w", "float64", "W", "power as the device reports it"),
)
"""Name, type, unit and meaning of the columns of every reading. Null where it was not read."""

TELEMETRY: tuple[tuple[str, str, str, str], ...] = (
    ("temperature_c", "float64", "degC", "temperature"),
    ("gpu_clock_mhz", "float64", "MHz", "clock of the multiprocessors"),
    ("memory_clock_mhz", "float64", "MHz", "clock of the memory"),
    ("power_limit_w", "float64", "W", "power limit in force"),
    ("memory_used_mb", "float64", "MiB", "memory in use on the device"),
    ("utilization_pct", "float64", "%", "share of the time in which the device was busy"),
    ("throttle_reasons", "int64", "1", "bits, as llem.specs.sampler.THROTTLE_REASONS names them"),
)
"""The telemetry that llem's own samplers read; null throughout where no device tells it. Others follow by name."""

_UNITS = {
    "c": "degC",
    "hz": "Hz",
    "khz": "kHz",
    "mhz": "MHz",
    "w": "W",
    "mw": "mW",
    "j": "J",
    "mb": "MiB",
    "pct": "%",
    "s": "s",
    "ms": "ms",
    "v": "V",
    "mv": "mV",
    "a": "A",
    "rpm": "1/min",
}
"""Unit by the last word of a name."""


def write_timeseries(series: Series, path: Path, open_ns: int) -> None:
    """Write the table, ordered by device and then by time.

    Args:
        series: what was read.
        path: of the file; replaced whole.
        open_ns: when the window opened (monotonic ns); times in the table count from there, and it is in the metadata.
    """
    import pyarrow as pa

    types: dict[str, Any] = {"float64": pa.float64(), "int64": pa.int64(), "string": pa.string()}
    columns = [*COLUMNS, *TELEMETRY, *_further(series)]
    fields = [
        pa.field(name, types[kind], metadata={"unit": unit, "description": meaning})
        for name, kind, unit, meaning in columns
    ]
    data = _data(series, open_ns, [(name, kind) for name, kind, _, _ in columns[len(COLUMNS) :]])
    schema = pa.schema(
        fields,
        metadata={"llem.clock": "CLOCK_MONOTONIC", "llem.open_ns": str(open_ns), "llem.sample_hz": repr(series.hz)},
    )
    arrays = [column_of(data[field.name], field.type) for field in fields]
    write_table_file(pa.Table.from_arrays(arrays, schema=schema), path)


def _further(series: Series) -> list[tuple[str, str, str, str]]:
    """Columns for what other samplers read besides."""
    known = {name for name, *_ in (*COLUMNS, *TELEMETRY)}
    names = {name for track in series.tracks for telemetry in track.telemetry for name in telemetry} - known
    return [
        (name, "float64", _UNITS.get(name.rpartition("_")[2], "1"), "as its sampler names it") for name in sorted(names)
    ]


def _data(series: Series, open_ns: int, telemetry: list[tuple[str, str]]) -> dict[str, list[Any]]:
    data: dict[str, list[Any]] = {name: [] for name, *_ in (*COLUMNS, *telemetry)}
    for track in series.tracks:
        n = len(track.t_ns)
        data["t_s"] += [(t_ns - open_ns) / 1e9 for t_ns in track.t_ns]
        data["device"] += [track.device.id] * n
        data["sampler"] += [track.sampler] * n
        data["scope"] += [track.device.scope] * n
        data["energy_j"] += track.energy_j
        data["power_w"] += track.power_w
        for name, kind in telemetry:
            read = [reading.get(name) for reading in track.telemetry]
            data[name] += [int(v) if kind == "int64" and v is not None else v for v in read]
    return data
