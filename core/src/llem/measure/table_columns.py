"""Columns of the tables that an experiment leaves, as `table_columns.toml` has them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

_TABLES: dict[str, Any] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))

Column = tuple[str, str, str, str]
"""Name, type, unit and meaning."""

UNITS: dict[str, str] = _TABLES["units"]
"""Unit by the last word of a name."""


def columns_of(table: str) -> tuple[Column, ...]:
    """The columns of a table, in their order."""
    return tuple((name, kind, unit, meaning) for name, kind, unit, meaning in _TABLES[table])


def fields_of(columns: Iterable[Column]) -> list[pa.Field[Any]]:
    """Arrow's fields of columns, each with its unit and its meaning."""
    import pyarrow as pa

    alias: Any = pa.type_for_alias
    lists = pa.list_(pa.float64())
    return [
        pa.field(name, lists if kind == "list" else alias(kind), metadata={"unit": unit, "description": meaning})
        for name, kind, unit, meaning in columns
    ]
