"""`timeseries.parquet`: a row for each reading of each device over the whole experiment, with units in the schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llem.measure.series import Series
from llem.measure.table_columns import UNITS, Column, columns_of, fields_of
from llem.results.table_file import column_of, write_table_file

COLUMNS = columns_of("readings")
"""Name, type, unit and meaning of the columns of every reading. Null where it was not read."""

TELEMETRY = columns_of("telemetry")
"""The telemetry that llem's own samplers read; null throughout where no device tells it. Others follow by name."""


def write_timeseries(series: Series, path: Path, open_ns: int) -> None:
    """Write the table, ordered by device and then by time.

    Args:
        series: what was read.
        path: of the file; replaced whole.
        open_ns: when the window opened (monotonic ns); times in the table count from there, and it is in the metadata.
    """
    import pyarrow as pa

    columns = [*COLUMNS, *TELEMETRY, *_further(series)]
    fields = fields_of(columns)
    data = _data(series, open_ns, [(name, kind) for name, kind, _, _ in columns[len(COLUMNS) :]])
    schema = pa.schema(
        fields,
        metadata={"llem.clock": "CLOCK_MONOTONIC", "llem.open_ns": str(open_ns), "llem.sample_hz": repr(series.hz)},
    )
    arrays = [column_of(data[field.name], field.type) for field in fields]
    write_table_file(pa.Table.from_arrays(arrays, schema=schema), path)


def _further(series: Series) -> list[Column]:
    """Columns for what other samplers read besides."""
    known = {name for name, *_ in (*COLUMNS, *TELEMETRY)}
    names = {name for track in series.tracks for telemetry in track.telemetry for name in telemetry} - known
    return [
        (name, "float64", UNITS.get(name.rpartition("_")[2], "1"), "as its sampler names it") for name in sorted(names)
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
