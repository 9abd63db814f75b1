"""Columns that are computed from others whenever results are read."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llem.metrics.selection import WEIGHING, ResultTable, count_of
from llem.metrics.summary import parquet_rows
from llem.results.arrow_array import array_of
from llem.results.weighing import weighed

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class ComputedColumn:
    """A column that no file holds.

    Attributes:
        name: of the column.
        unit: of its values.
        of: the columns that it is computed from.
        compute: takes these, returns the value, or None where they do not tell it.
        positive: 0 and what is below is no value of it.
    """

    name: str
    unit: str
    of: tuple[str, ...]
    compute: Callable[[Mapping[str, Any]], float | None]
    positive: bool

    def value(self, row: Mapping[str, Any]) -> float | None:
        """Of a row, from what its warnings leave of it; None for an experiment that is not done, and for no possible value."""
        if row.get("status") != "done":
            return None
        known = weighed(row)
        found = self.compute({name: known.get(name) for name in self.of})
        if found is None or not math.isfinite(found) or (self.positive and found <= 0):
            return None
        return float(found)


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
