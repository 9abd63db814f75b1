"""Columns that are computed from others: from what warnings leave, as numbers or not at all, and only when asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem.metrics.computed import ComputedColumn, WithComputed

ENERGY = "energy.headline.j_per_output_token"
P99 = "latency.ttft_s.p99"


def column(compute: Any, *of: str, positive: bool = True) -> ComputedColumn:
    return ComputedColumn("metric.x", "1/J", of or (ENERGY,), compute, positive)


INVERSE = column(lambda row: None if row[ENERGY] is None else 1 / row[ENERGY])


def row(**changes: Any) -> dict[str, Any]:
    return {"status": "done", "warnings": [], ENERGY: 2.0, **changes}


@given(st.floats(min_value=1e-12, max_value=1e12))
def test_a_value_is_what_the_function_makes_of_its_columns(energy: float) -> None:
    assert INVERSE.value(row(**{ENERGY: energy})) == pytest.approx(1 / energy)


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_what_is_no_possible_value_is_none(found: float) -> None:
    possible = math.isfinite(found)
    assert column(lambda _: found).value(row()) == (found if possible and found > 0 else None)
    assert column(lambda _: found, positive=False).value(row()) == (found if possible else None)


def test_the_function_sees_its_columns_and_nothing_else() -> None:
    seen: list[Mapping[str, Any]] = []

    def look(given: Mapping[str, Any]) -> float:
        seen.append(given)
        return 1.0

    column(look, ENERGY, "memory.peak_memory_mb").value(row(other=1))
    assert seen == [{ENERGY: 2.0, "memory.peak_memory_mb": None}]


@pytest.mark.parametrize(
    "changes",
    [{"warnings": ["averaged_power"]}, {ENERGY: None}, {ENERGY: -1.0}, {"status": "failed"}, {"status": "unreadable"}],
)
def test_it_is_none_where_its_columns_do_not_stand(changes: dict[str, Any]) -> None:
    assert INVERSE.value(row(**changes)) is None


def test_a_percentile_of_too_few_is_not_computed_from() -> None:
    twice = column(lambda given: None if given[P99] is None else 2 * given[P99], P99)
    assert twice.value(row(**{P99: 0.5, "latency.ttft_s.n": 1_000})) == 1.0
    assert twice.value(row(**{P99: 0.5, "latency.ttft_s.n": 999})) is None


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
