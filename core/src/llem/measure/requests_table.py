"""`requests.parquet`: a row for each request of the measured window, with units in the schema."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llem.measure.latency import Timing
from llem.results.table_file import column_of, write_table_file

COLUMNS: tuple[tuple[str, str, str, str], ...] = (
    ("pass", "int32", "1", "repetition of the workload, from 1"),
    ("batch", "int32", "1", "place of the request's batch in its pass, from 1"),
    ("id", "int64", "1", "index of the prompt in the dataset as drawn"),
    ("arrival_s", "float64", "s", "release by the load generator, since the window opened"),
    ("start_s", "float64", "s", "when the engine took it, since the window opened; null where its times cannot be"),
    ("first_token_s", "float64", "s", "first output token, since the window opened; null where it was not seen"),
    ("end_s", "float64", "s", "when the engine was done with it, since the window opened; null likewise"),
    ("input_tokens", "int64", "token", "prompt tokens without padding"),
    ("output_tokens", "int64", "token", "generated tokens up to and including the stop token"),
    ("finish", "string", "1", "length or stop"),
    ("ttft_s", "float64", "s", "first token - arrival"),
    ("tpot_s", "float64", "s", "(last token - first token) / (output tokens - 1)"),
    ("e2e_s", "float64", "s", "last token - arrival"),
    ("itl_s", "list", "s", "gaps between successive tokens"),
)
"""Name, type, unit and meaning of each column."""


def write_requests(path: Path, rows: Sequence[Timing], open_ns: int) -> None:
    """Write the table.

    Args:
        path: of the file; replaced whole.
        rows: the window's requests.
        open_ns: when the window opened; times in the table count from there.
    """
    import pyarrow as pa

    types: dict[str, Any] = {
        "int32": pa.int32(),
        "int64": pa.int64(),
        "float64": pa.float64(),
        "string": pa.string(),
        "list": pa.list_(pa.float64()),
    }
    fields = [
        pa.field(name, types[kind], metadata={"unit": unit, "description": meaning})
        for name, kind, unit, meaning in COLUMNS
    ]
    columns = [list(column) for column in zip(*(_values(row, open_ns) for row in rows), strict=True)]
    arrays = [column_of(column, field.type) for column, field in zip(columns, fields, strict=True)]
    write_table_file(pa.Table.from_arrays(arrays, schema=pa.schema(fields)), path)


def _values(row: Timing, open_ns: int) -> tuple[Any, ...]:
    answer, record = row.answer, row.record
    return (
        answer.pass_number,
        answer.batch_number,
        record.id,
        (answer.released_ns - open_ns) / 1e9,
        (record.start_ns - open_ns) / 1e9 if row.is_placed else None,
        None if row.first_ns is None else (row.first_ns - open_ns) / 1e9,
        (record.end_ns - open_ns) / 1e9 if row.is_placed else None,
        record.input_tokens,
        record.output_tokens,
        record.finish,
        row.ttft_s,
        row.tpot_s,
        row.e2e_s,
        row.itl_s,
    )
