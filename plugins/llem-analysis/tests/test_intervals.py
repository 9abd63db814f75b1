"""Mean, deviation and the 95 % interval of a few values, checked against scipy and by what must always hold."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from llem_analysis import student
from llem_analysis.intervals import (
    BOOTSTRAP_FROM,
    BOOTSTRAP_TO,
    bootstrap_interval,
    expanded_tail,
    interval,
    mean,
    resampled_quantiles,
    sd,
    t_interval,
)

CYCLES = [0.5312, 0.5287, 0.5344, 0.5301, 0.5299, 0.5388, 0.5279, 0.5310, 0.5322, 0.5291]
FINITE = st.floats(-1e9, 1e9, allow_nan=False, allow_subnormal=False)
VALUES = st.lists(FINITE, min_size=3, max_size=12)


@given(df=st.floats(1, 500), level=st.floats(0.01, 0.999))
def test_quantiles_of_t_are_scipy_s(df: float, level: float) -> None:
    assert student.quantile(level, df) == pytest.approx(stats.t.ppf((1 + level) / 2, df), rel=1e-9)


@given(df=st.floats(1, 500), t=st.floats(-50, 50))
def test_tails_of_t_are_scipy_s(df: float, t: float) -> None:
    assert student.two_sided_p(t, df) == pytest.approx(2 * stats.t.sf(abs(t), df), rel=1e-8, abs=1e-300)


@pytest.mark.parametrize("n", [3, 4, 5, 10])
def test_the_t_interval_is_scipy_s(n: int) -> None:
    values = CYCLES[:n]
    expected = stats.t.interval(0.95, n - 1, loc=np.mean(values), scale=stats.sem(values))
    found = t_interval(values)
    assert found is not None
    assert (found.low, found.high) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("n", [6, 10])
def test_the_bootstrap_is_scipy_s_percentile_bootstrap_at_the_expanded_level(n: int) -> None:
    values = CYCLES[:n]
    level = 1 - 2 * expanded_tail(n)
    scipy = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=200_000,
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    found = bootstrap_interval(values, resamples=200_000)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((scipy.low, scipy.high), abs=0.02 * found.width)


def test_the_plain_percentile_bootstrap_is_scipy_s() -> None:
    scipy = stats.bootstrap(
        (CYCLES,), np.mean, n_resamples=200_000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    low, high = resampled_quantiles(CYCLES, 0.025, resamples=200_000)
    width = scipy.high - scipy.low
    assert (mean(CYCLES) + low, mean(CYCLES) + high) == pytest.approx((scipy.low, scipy.high), abs=0.02 * width)


def test_the_expanded_level_follows_its_formula() -> None:
    for n in (3, 6, 20, 500):
        assert expanded_tail(n) == pytest.approx(
            stats.norm.cdf(-math.sqrt(n / (n - 1)) * stats.t.ppf(0.975, n - 1)), rel=1e-6
        )
    assert expanded_tail(500) == pytest.approx(0.025, abs=0.001), "many values need no expansion"


@settings(deadline=None)
@given(values=VALUES)
def test_every_interval_holds_the_mean_and_a_bootstrap_stays_among_the_values(values: list[float]) -> None:
    shown, t, bootstrap = interval(values), t_interval(values), bootstrap_interval(values)
    assert shown is not None
    assert t is not None
    assert bootstrap is not None
    for found in (shown, t, bootstrap):
        assert found.low <= mean(values) <= found.high
    assert min(values) <= bootstrap.low <= bootstrap.high <= max(values)


@settings(deadline=None)
@given(values=VALUES, data=st.data())
def test_the_order_of_cycles_has_no_effect(values: list[float], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(values))
    assert bootstrap_interval(values) == bootstrap_interval(shuffled)
    assert interval(values) == interval(shuffled)


@settings(deadline=None)
@given(values=VALUES, exponent=st.integers(-20, 20))
def test_another_unit_gives_the_same_interval_in_that_unit(values: list[float], exponent: int) -> None:
    factor = 2.0**exponent  # exact in binary, so that only the interval's own rounding is left
    one, other = interval(values), interval([value * factor for value in values])
    assert one is not None
    assert other is not None
    close = 1e-9 * max(map(abs, values)) * factor
    assert (other.low, other.high) == pytest.approx((one.low * factor, one.high * factor), rel=1e-9, abs=close)


@given(value=FINITE, n=st.integers(3, 9))
def test_equal_values_have_an_interval_of_no_width(value: float, n: int) -> None:
    found = interval([value] * n)
    assert found is not None
    assert (found.low, found.high) == (value, value)
    assert mean([value] * n) == value


@given(values=st.lists(FINITE, min_size=2, max_size=20))
def test_mean_and_deviation_are_those_of_the_standard_library(values: list[float]) -> None:
    assert mean(values) == pytest.approx(statistics.fmean(values), rel=1e-12, abs=1e-6)
    assert sd(values) == statistics.stdev(values)


def test_fewer_than_three_values_have_no_interval() -> None:
    for values in ([1.0], [1.0, 2.0]):
        assert interval(values) is t_interval(values) is bootstrap_interval(values) is None
    assert sd([1.0]) is None


def test_t_is_shown_where_a_bootstrap_cannot_cover_and_the_bootstrap_from_there_on() -> None:
    methods = {n: found.method for n in range(3, 11) if (found := interval(CYCLES[:n]))}
    assert methods == {n: "t" if n < BOOTSTRAP_FROM else "bootstrap" for n in range(3, 11)}
    assert 1 - 2 ** (1 - BOOTSTRAP_FROM) >= 0.95 > 1 - 2 ** (2 - BOOTSTRAP_FROM)


def test_very_many_values_are_not_resampled() -> None:
    found = interval([float(i % 7) for i in range(BOOTSTRAP_TO + 1)])
    assert found is not None
    assert found.method == "t"


def test_a_bootstrap_is_drawn_again_by_its_seed() -> None:
    once = bootstrap_interval(CYCLES)
    assert once is not None
    assert (once.resamples, once.seed) == (10_000, 42)
    assert bootstrap_interval(CYCLES, resamples=10_000, seed=42) == once
    assert bootstrap_interval(CYCLES, seed=7) != once
