"""Columns that are computed from others: from what warnings leave, and as numbers or not at all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem_analysis.computed import ComputedColumn

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
