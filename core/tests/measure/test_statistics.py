"""Distributions, held against the standard library's own formulas."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem.measure.statistics import distribution, percentile

VALUES = st.lists(st.floats(-1e9, 1e9).map(lambda value: round(value, 9)), min_size=2, max_size=60)


@given(VALUES)
def test_percentiles_interpolate_linearly(values: list[float]) -> None:
    reference = statistics.quantiles(values, n=100, method="inclusive")
    scale = max(map(abs, values))
    for percent in (50, 90, 95, 99):
        found = percentile(sorted(values), percent)
        assert found == pytest.approx(reference[percent - 1], rel=1e-9, abs=1e-9 * scale)


@given(st.integers(1, 1_500))
def test_a_percentile_stands_only_where_ten_values_lie_beyond_it(n: int) -> None:
    found = distribution(range(n))
    assert found is not None
    assert found.p50 == (n - 1) / 2, "the median has no tail that could be missed"
    for percent, least in ((90, 100), (95, 200), (99, 1_000)):
        value = getattr(found, f"p{percent}")
        assert (value is not None) == (n >= least)
        if value is not None:
            assert sum(one > value for one in range(n)) >= 10


@given(VALUES)
def test_mean_and_sample_deviation_are_the_textbook_ones(values: list[float]) -> None:
    found = distribution(values)
    assert found is not None
    scale = max(map(abs, values))
    assert found.n == len(values)
    assert found.mean == pytest.approx(statistics.fmean(values), rel=1e-9, abs=1e-9 * scale)
    assert found.std == pytest.approx(statistics.stdev(values), rel=1e-6, abs=1e-9 * scale)


@given(st.lists(st.floats(-1e100, 1e100), min_size=1, max_size=40))
def test_everything_lies_in_order_between_the_extremes(values: list[float]) -> None:
    found = distribution(values)
    assert found is not None
    assert (found.min, found.max) == (min(values), max(values))
    tail = [percentile(sorted(values), percent) for percent in (90, 95, 99)]
    assert [found.min, found.p50, *tail, found.max] == sorted([found.min, found.p50, *tail, found.max])
    assert found.min <= found.mean <= found.max


def test_the_order_of_the_values_does_not_matter() -> None:
    assert distribution([3.0, 1.0, 2.0]) == distribution([1.0, 2.0, 3.0])


def test_of_no_value_there_is_no_distribution() -> None:
    assert distribution([]) is None


def test_a_single_value_has_no_deviation() -> None:
    found = distribution([0.25])
    assert found is not None
    assert found.std is None
    assert {found.mean, found.min, found.max, found.p50} == {0.25}
    assert {found.p90, found.p95, found.p99} == {None}


def test_percentiles_of_a_known_row() -> None:
    row = [10.0, 20.0, 30.0, 40.0]
    assert [percentile(row, p) for p in (0, 25, 50, 90, 100)] == [10.0, 17.5, 25.0, 37.0, 40.0]
