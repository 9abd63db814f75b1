"""A table of results, whatever it lies in, with the columns that plugins compute from others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from llem.plugin_api import PartFile, ResultError, array_of, joined, part_files
from llem_analysis.computed import ComputedColumn
from llem_analysis.parquet_rows import parquet_rows

if TYPE_CHECKING:
    import pyarrow as pa


class ResultTable(Protocol):
    """A table of results: a study's folder, or a Parquet file."""

    @property
    def columns(self) -> Sequence[str]:
        """Names of all its columns."""

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Its rows; of `columns` those that there are."""


class ParquetTable:
    """A `results.parquet` by itself, file or folder, wherever it is. Raises ResultError as `PartFile`, or where there is none."""

    def __init__(self, path: Path) -> None:
        self._files = [PartFile(file) for file in part_files(path)]
        if not self._files:
            raise ResultError("there is no results.parquet here.", where=str(path))

    @property
    def columns(self) -> list[str]:
        """Names of all columns."""
        return list(dict.fromkeys(name for file in self._files for name in file.schema.names))

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """All rows; of `columns` those that there are."""
        return joined([file.read(columns) for file in self._files])


def read_parquet(path: Path) -> pa.Table:
    """Read a whole `results.parquet`, file or folder. Raises ResultError as `ParquetTable`."""
    return ParquetTable(path).read()


class WithComputed:
    """A table with computed columns besides its own. One that is not asked for costs nothing."""

    def __init__(self, table: ResultTable, computed: Iterable[ComputedColumn]) -> None:
        self._table = table
        self._computed = {column.name: column for column in computed}

    @property
    def columns(self) -> list[str]:
        """Names of all its columns."""
        return [*self._table.columns, *self._computed]

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Its rows; of `columns` those that there are."""
        import pyarrow as pa

        asked = [c for c in self._computed.values() if columns is None or c.name in columns]
        if not asked:
            return self._table.read(columns)
        needed = {name for one in asked for name in _needed(one.of)}
        whole = self._table.read(None if columns is None else list(dict.fromkeys([*columns, *needed])))
        rows = parquet_rows(whole.select([name for name in whole.column_names if name in needed]))
        found = whole if columns is None else whole.select([n for n in whole.column_names if n in columns])
        for column in asked:
            field = pa.field(column.name, pa.float64(), metadata={"unit": column.unit})
            found = found.append_column(field, array_of([column.value(row) for row in rows], pa.float64()))
        return found


def _needed(of: Iterable[str]) -> list[str]:
    """Columns that a value is computed and weighed from."""
    counts = [count_of(name) for name in of if name.startswith("latency.")]
    return [*of, *counts, *WEIGHING, "energy.headline.unreliable"]


def count_of(column: str) -> str:
    """The column that has the number of observations behind a percentile."""
    return f"{column.rpartition('.')[0]}.n"


WEIGHING = ("status", "warnings", "energy.headline.scope", "energy.headline.method")
"""Columns that tell what is left out of a figure: warnings, and whether the whole machine shares it."""
