"""CSV and Parquet: every row with every column."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import IO, Any

from llem.plugin_api import plain
from llem_exporters.source import Source

_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Characters that begin a formula, also in full width."""

_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")


def write_csv(source: Source, stream: IO[str]) -> None:
    """One line for each experiment and cycle; a figure that was not measured is an empty cell.

    Units stand in the columns' names. `energy.headline.method` says `estimate` where the energy is no measurement; so does
    the last column, `energy_estimated`.
    """
    table = source.table()
    names = [
        name for name, column in zip(table.column_names, table.columns, strict=True) if column.null_count < len(column)
    ]
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*map(_text, names), "energy_estimated"])
    for row in table.select(names).to_pylist():
        method = row.get("energy.headline.method")
        writer.writerow([*(_cell(row[name]) for name in names), "" if method is None else _cell(method == "estimate")])


def write_parquet(source: Source, path: Path) -> None:
    """The table of `results.parquet`, units in each field's metadata, with the footprint where there are factors."""
    import pyarrow.parquet as pq

    with path.open("wb") as stream:
        pq.write_table(source.table(), stream, compression="zstd")


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False)
    return _text(value) if isinstance(value, str) else value


def _text(text: str) -> str:
    """Text as a cell: a spreadsheet would run one that begins like a formula, unless it begins with an apostrophe."""
    text = plain(text)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) and not _NUMBER.fullmatch(text) else text
