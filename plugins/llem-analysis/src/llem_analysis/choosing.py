"""Results of a study chosen by conditions, and its configurations ordered by a column. Neither looks at columns it is not asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from llem_analysis.conditions import column_of, condition
from llem_analysis.result_table import WEIGHING, count_of
from llem_analysis.weighed_rows import weighed

if TYPE_CHECKING:
    import pyarrow as pa

    from llem_analysis.result_table import ResultTable


class Chosen:
    """The rows of a table for which all conditions hold.

    Args:
        table: of results.
        where: conditions such as `status=failed`.

    Raises:
        ConfigError: a condition is none, or names no column.
    """

    def __init__(self, table: ResultTable, where: Sequence[str]) -> None:
        self._table = table
        self._conditions = [condition(text, table.columns) for text in where]

    @property
    def columns(self) -> Sequence[str]:
        """Names of all its columns."""
        return self._table.columns

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Its rows; of `columns` those that there are. Raises ConfigError where a condition does not fit its column."""
        asked = [c.column for c in self._conditions]
        found = self._table.read(None if columns is None else list(dict.fromkeys([*columns, *asked])))
        for one in self._conditions:
            found = found.filter(one.holds(found.column(one.column), found.schema.field(one.column)))
        return found if columns is None else found.select([name for name in columns if name in found.column_names])


def ordered(table: ResultTable, sort: str) -> list[str]:
    """The configurations that have a value in a column, ordered by it; the others are left out.

    Numbers are means over the experiments that are done, without what warnings void; of texts the first word counts. Those that
    are equal stay as they ran.

    Args:
        sort: a column or a figure's short name; `-` before it for the largest first.

    Raises:
        ConfigError: there is no such column.
    """
    import pyarrow.compute as pc

    called: Any = pc
    by = column_of(sort.removeprefix("-"), table.columns)
    wanted = ("config_hash", "directory", "position", "status", by, count_of(by), *WEIGHING)
    rows = table.read([name for name in dict.fromkeys(wanted) if name in table.columns])
    names: list[str] = called.coalesce(rows.column("config_hash"), rows.column("directory")).to_pylist()
    places = [math.inf if place is None else place for place in rows.column("position").to_pylist()]
    cells, is_number = _cells(rows, by)
    in_order = sorted(
        zip(places, names, rows.column("status").to_pylist(), cells, strict=True), key=lambda row: row[:2]
    )
    values: dict[str, list[Any]] = {name: [] for _, name, _, _ in in_order}
    for _, name, status, value in in_order:
        if value is not None and (status == "done" or not is_number):
            values[name].append(value)
    known = {
        name: math.fsum(several) / len(several) if is_number else min(map(str, several))
        for name, several in values.items()
        if several
    }
    return sorted(known, key=lambda name: known[name], reverse=sort.startswith("-"))


def _cells(rows: pa.Table, by: str) -> tuple[list[Any], bool]:
    """The values of a column, numbers without those that their runs' warnings void or that cannot be; and whether it has numbers."""
    import pyarrow as pa

    column = rows.column(by)
    values = column.to_pylist()
    if not pa.types.is_floating(column.type) and not pa.types.is_integer(column.type):
        return values, False
    count = count_of(by)
    beside = [name for name in dict.fromkeys((*WEIGHING, count)) if name in rows.column_names and name != by]
    cells = zip(*(rows.column(name).to_pylist() for name in beside), strict=True)
    return [
        # Most have nothing that could be said against them, and are many.
        value
        if value is None or (value > 0 and not row["warnings"] and count not in row)
        else weighed({**row, by: value})[by]
        for row, value in zip((dict(zip(beside, one, strict=True)) for one in cells), values, strict=True)
    ], True
