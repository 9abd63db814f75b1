"""Tables of results with columns that are computed: they are there where they are asked for, and cost nothing elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pytest

from llem_analysis.computed import ComputedColumn
from llem_analysis.result_table import WithComputed

ENERGY = "energy.headline.j_per_output_token"


def column(compute: Any) -> ComputedColumn:
    return ComputedColumn("metric.x", "1/J", (ENERGY,), compute, positive=True)


INVERSE = column(lambda row: None if row[ENERGY] is None else 1 / row[ENERGY])


def row(**changes: Any) -> dict[str, Any]:
    return {"status": "done", "warnings": [], ENERGY: 2.0, **changes}


class Rows:
    """A table that notes which columns it is asked for."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._table = pa.Table.from_pylist([dict(r) for r in rows])
        self.asked: list[Sequence[str] | None] = []

    @property
    def columns(self) -> list[str]:
        return self._table.column_names

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        self.asked.append(columns)
        return self._table if columns is None else self._table.select([c for c in self.columns if c in columns])


def test_a_table_has_it_as_a_column_with_its_unit() -> None:
    table = WithComputed(
        Rows([row(other=1), row(other=2, **{ENERGY: 4.0}), row(other=3, warnings=["averaged_power"])]), [INVERSE]
    )
    assert table.columns == ["status", "warnings", ENERGY, "other", "metric.x"]
    found = table.read(["other", "metric.x"])
    assert found.to_pydict() == {"other": [1, 2, 3], "metric.x": [0.5, 0.25, None]}
    assert found.schema.field("metric.x").metadata == {b"unit": b"1/J"}
    assert table.read().column_names == table.columns


def test_one_that_is_not_asked_for_costs_nothing() -> None:
    def never(_: Mapping[str, Any]) -> float:
        pytest.fail("nobody asked")

    rows = Rows([row(other=1)])
    assert WithComputed(rows, [column(never)]).read(["other"]).to_pydict() == {"other": [1]}
    assert rows.asked == [["other"]]
    WithComputed(rows, [INVERSE]).read(["other", "metric.x"])
    assert "other" in (rows.asked[-1] or ())
    assert len(rows.asked[-1] or ()) < 10, "a study of 100,000 experiments is not read whole for one column"


def test_columns_keep_the_table_s_order_however_they_are_asked_for() -> None:
    table = WithComputed(Rows([row(a=1, b=2)]), [INVERSE])
    assert (
        table.read(["b", "metric.x", "a"]).column_names
        == table.read(["a", "b", "metric.x"]).column_names
        == ["a", "b", "metric.x"]
    )
