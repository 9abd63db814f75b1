"""Azure's LLM inference trace: CSV with a header.

Columns: `TIMESTAMP`, `ContextTokens`, `GeneratedTokens`. Times have seven decimals and no zone in the files of 2023
(`2023-11-16 18:17:03.9799600`); those of 2024 have up to six, or none on the full second, and end in `+00:00`. A time without
zone is taken as UTC. Source: Azure/AzurePublicDataset, AzureLLMInferenceDataset2023.md and 2024.md, and the files.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from llem_serving.traces.csv_columns import column_picker
from llem_serving.traces.fields import MOST_S, tokens_of
from llem_serving.traces.row_parser import ParsedRow, RowParser

TOLD_BY = "ContextTokens"
"""A column that no other format has."""

_COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
_TIME = re.compile(r"(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?: ?(Z|[+-]\d\d:?\d\d))?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def row_parser(header: str) -> RowParser:
    """A reader of lines below this header. See `RowParser`."""
    pick = column_picker(header, _COLUMNS)

    def parse_row(line: str) -> ParsedRow:
        time, asked, answered = pick(line)
        return _time_ns(time), tokens_of(asked, _COLUMNS[1]), tokens_of(answered, _COLUMNS[2]), None

    return parse_row


def _time_ns(text: str) -> int:
    found = _TIME.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{_COLUMNS[0]} is no time such as 2024-05-10 00:00:00.0099300: {text[:40]!r}")
    second, decimals, zone = found.groups()
    return _seconds(second, zone or "Z") * 1_000_000_000 + int((decimals or "").ljust(9, "0"))


@lru_cache(maxsize=64)
def _seconds(second: str, zone: str) -> int:
    """Whole seconds since 1970. Neighbouring rows mostly have the same."""
    try:
        at = datetime.fromisoformat(second + zone)
    except ValueError as error:
        raise ValueError(f"{_COLUMNS[0]} is no time: {second}{zone} ({error})") from error
    seconds = (at - _EPOCH) // timedelta(seconds=1)
    if not 0 <= seconds <= MOST_S:
        raise ValueError(f"{_COLUMNS[0]} is before 1970 or after 2255: {second}")
    return seconds
