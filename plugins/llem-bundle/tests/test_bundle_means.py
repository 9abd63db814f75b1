"""Intervals worked out for verification, against scipy and against what llem shows."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from scipy import stats

from llem_analysis import intervals
from llem_bundle import means, recount

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 5, 6, 9, 10, 29, 99, 998])
def test_quantiles_are_students(degrees: int) -> None:
    assert means.t_quantile(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), rel=1e-9)


@pytest.mark.parametrize("n", [3, 5, 6, 12])
def test_intervals_are_those_that_llem_shows(n: int) -> None:
    generator = random.Random(n)
    values = [generator.lognormvariate(0, 0.1) for _ in range(n)]
    t, bootstrap = intervals.t_interval(values), intervals.bootstrap_interval(values)
    assert t is not None
    assert bootstrap is not None
    assert means.t_interval(values) == pytest.approx((t.low, t.high), rel=1e-12)
    assert means.bootstrap_interval(values, 10_000, 42) == pytest.approx((bootstrap.low, bootstrap.high), rel=1e-9)


def test_power_is_integrated_to_the_exact_edges() -> None:
    t_s = np.array([-0.5, 0.5, 1.5, 2.5])
    watts = np.array([0.0, 100.0, 200.0, 300.0])  # 100 t + 50
    energy = recount.by_power(t_s, watts, 2.0)
    assert energy is not None
    assert energy.joules == pytest.approx(50 * 2.0 + 100 * 2.0**2 / 2)


def test_a_counter_bounds_its_rise() -> None:
    t_s = np.arange(-1.0, 12.0, 0.1)
    exact = 50.0 * t_s
    stepped = np.floor(exact / 7) * 7
    energy = recount.by_counter(t_s, stepped, 10.0)
    assert energy is not None
    assert abs(energy.joules - 500.0) <= energy.give <= 14.0


@pytest.mark.parametrize("edge", [0, 1])
def test_without_a_reading_beyond_an_edge_nothing_is_told(edge: int) -> None:
    t_s = np.array([0.5, 1.0, 3.0] if edge == 0 else [-1.0, 0.0, 1.0])
    assert recount.by_counter(t_s, t_s, 2.0) is None
    assert recount.by_power(t_s, t_s, 2.0) is None


def test_percentiles_of_the_tail_stand_from_ten_beyond_on() -> None:
    few, many = recount.distribution(np.arange(99.0)), recount.distribution(np.arange(1000.0))
    assert few is not None
    assert many is not None
    assert few["p90"] is None
    assert few["p50"] == 49.0
    assert many["p99"] == pytest.approx(989.01)
    assert recount.distribution(np.array([1.0, math.nan])) is None
