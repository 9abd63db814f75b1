"""`requests.parquet`: a row for each request of the measured window, with units in the schema."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llem.measure.given_out import broken_within, tokens_within
from llem.measure.latency import Timing
from llem.measure.table_columns import Column, columns_of, fields_of
from llem.results.table_file import column_of, write_table_file
from llem.specs.scenario import Unanswered

COLUMNS = columns_of("requests")
"""Name, type, unit and meaning of each column."""

SERVED_COLUMNS = columns_of("served")
"""Further columns of a load that did not wait for answers. `finish` is then also error or unanswered."""


def write_requests(path: Path, rows: Sequence[Timing], open_ns: int) -> None:
    """Write the table.

    Args:
        path: of the file; replaced whole.
        rows: the window's requests.
        open_ns: when the window opened; times in the table count from there.
    """
    _write(path, COLUMNS, [_values(row, open_ns) for row in rows])


def write_served(
    path: Path, rows: Sequence[Timing], unanswered: Sequence[Unanswered], inside: int, open_ns: int, close_ns: int
) -> None:
    """Write the table of a load that did not wait for answers.

    Args:
        path: of the file; replaced whole.
        rows: every answered request of the load, those that arrived inside the window first.
        unanswered: requests without a whole answer that arrived inside it, or had tokens given out inside.
        inside: how many of `rows` arrived inside it.
        open_ns, close_ns: the window; times in the table count from its opening.
    """
    told = [(*_values(row, open_ns), *_of_load(row, n < inside, open_ns, close_ns)) for n, row in enumerate(rows)]
    told += [_without_answer(one, open_ns, close_ns) for one in unanswered]
    _write(path, (*COLUMNS, *SERVED_COLUMNS), sorted(told, key=lambda row: row[_ARRIVAL_AT]))


_ARRIVAL_AT = next(place for place, (name, *_) in enumerate(COLUMNS) if name == "arrival_s")


def _of_load(row: Timing, is_inside: bool, open_ns: int, close_ns: int) -> tuple[Any, ...]:
    sent_ns = row.answer.released_ns if row.answer.sent_ns is None else row.answer.sent_ns
    return _since(sent_ns, open_ns), is_inside, tokens_within(row, open_ns, close_ns), None


def _since(t_ns: int | None, open_ns: int) -> float | None:
    return None if t_ns is None else (t_ns - open_ns) / 1e9


def _without_answer(one: Unanswered, open_ns: int, close_ns: int) -> tuple[Any, ...]:
    known = {
        "pass": 1,
        "batch": 1,
        "id": one.request.id,
        "arrival_s": _since(one.arrived_ns, open_ns),
        "first_token_s": _since(next(iter(one.token_ns), None), open_ns),
        "end_s": _since(one.ended_ns, open_ns),
        "output_tokens": len(one.token_ns),
        "finish": "unanswered" if one.error is None else "error",
        "sent_s": _since(one.sent_ns, open_ns),
        "inside": open_ns <= one.arrived_ns < close_ns,
        "window_tokens": broken_within(one, open_ns, close_ns),
        "error": one.error,
    }
    return tuple(known.get(name) for name, *_ in (*COLUMNS, *SERVED_COLUMNS))


def _write(path: Path, layout: Sequence[Column], rows: Sequence[tuple[Any, ...]]) -> None:
    import pyarrow as pa

    fields = fields_of(layout)
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in layout]
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
