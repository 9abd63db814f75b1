"""BurstGPT's trace: CSV with a header.

Columns: `Timestamp` (s since midnight of the first day), `Model`, `Request tokens`, `Response tokens` (0: the request
failed), `Total tokens`, `Log Type`; the later files also have `Session ID` and `Elapsed time` between them. Source: HPMLL/BurstGPT,
its README; arXiv 2401.17644.
"""

from __future__ import annotations

from llem_serving.traces.csv_columns import column_picker
from llem_serving.traces.fields import time_ns, tokens_of
from llem_serving.traces.row_parser import ParsedRow, RowParser

TOLD_BY = "Request tokens"
"""A column that no other format has."""

_COLUMNS = ("Timestamp", "Request tokens", "Response tokens")
_SECOND_NS = 1_000_000_000


def row_parser(header: str) -> RowParser:
    """A reader of lines below this header. See `RowParser`."""
    pick = column_picker(header, _COLUMNS)

    def parse_row(line: str) -> ParsedRow:
        time, asked, answered = pick(line)
        return (
            time_ns(time, _COLUMNS[0], _SECOND_NS),
            tokens_of(asked, _COLUMNS[1]),
            tokens_of(answered, _COLUMNS[2]),
            None,
        )

    return parse_row
