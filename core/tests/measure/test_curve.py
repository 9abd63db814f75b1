"""Interpolation, integration and differences of sampled curves."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from llem.measure import curve

S = 10**9


@st.composite
def curves(draw: st.DrawFn, ascending: bool = False) -> curve.Points:
    """Times at least a microsecond apart, with values; ascending ones like a counter's."""
    gaps = draw(st.lists(st.integers(1_000, 10 * S), min_size=2, max_size=20))
    times = [sum(gaps[: i + 1]) for i in range(len(gaps))]
    values = draw(st.lists(st.floats(0, 1e4), min_size=len(times), max_size=len(times)))
    return times, sorted(values) if ascending else values


@given(curves(), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_an_integral_over_a_window_is_the_sum_over_its_parts(
    points: curve.Points, a: float, b: float, c: float
) -> None:
    start, middle, end = sorted(points[0][0] + round(x * (points[0][-1] - points[0][0])) for x in (a, b, c))
    assume(start < middle < end)
    whole, first, second = (curve.integral(points, *w) for w in ((start, end), (start, middle), (middle, end)))
    assert whole is not None
    assert first is not None
    assert second is not None
    assert whole == pytest.approx(first + second, rel=1e-6, abs=1e-6)


@given(curves())
def test_an_integral_over_all_samples_is_the_trapezoid(points: curve.Points) -> None:
    times, values = points
    by_hand = sum(
        (t1 - t0) / S * (v0 + v1) / 2 for (t0, v0), (t1, v1) in pairwise(list(zip(times, values, strict=True)))
    )
    assert curve.integral(points, times[0], times[-1]) == pytest.approx(by_hand, rel=1e-9, abs=1e-9)


@given(curves(ascending=True), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_the_increase_of_a_counter_is_additive_and_never_negative(
    points: curve.Points, a: float, b: float, c: float
) -> None:
    start, middle, end = sorted(points[0][0] + round(x * (points[0][-1] - points[0][0])) for x in (a, b, c))
    assume(start < middle < end)
    whole, first, second = (curve.increase(points, *w) for w in ((start, end), (start, middle), (middle, end)))
    assert whole is not None
    assert first is not None
    assert second is not None
    assert whole == pytest.approx(first + second, rel=1e-9, abs=1e-6)
    assert min(whole, first, second) >= 0


@given(curves(), st.integers(1, S))
def test_outside_the_samples_nothing_is_known(points: curve.Points, beyond: int) -> None:
    first, last = points[0][0], points[0][-1]
    assert curve.integral(points, first - beyond, last) is None
    assert curve.integral(points, first, last + beyond) is None
    assert curve.increase(points, last, last + beyond) is None


def test_a_window_without_length_has_no_energy() -> None:
    points = ([0, S], [5.0, 5.0])
    assert curve.integral(points, S // 2, S // 2) is None
    assert curve.increase(points, S, 0) is None


def test_edges_are_cut_by_interpolation() -> None:
    ramp = ([0, 10 * S], [0.0, 100.0])
    # 10 W per second from 20 to 50 W over 3 s: 105 J.
    assert curve.integral(ramp, 2 * S, 5 * S) == pytest.approx(105.0)


def test_a_counter_that_goes_backwards_gives_nothing() -> None:
    assert curve.increase(([0, S, 2 * S], [10.0, 5.0, 20.0]), 0, 2 * S) is None


def test_unread_samples_are_left_out() -> None:
    assert curve.points([1, 2, 3], [1.0, None, 3.0]) == ([1, 3], [1.0, 3.0])


def test_the_update_period_is_the_mean_gap_between_changes() -> None:
    times = [i * S // 100 for i in range(200)]  # read every 10 ms
    values = [float(i // 5) for i in range(200)]  # changes every 50 ms
    assert curve.update_period_s((times, values)) == pytest.approx(0.05)


def test_too_few_changes_tell_no_update_period() -> None:
    assert curve.update_period_s(([0, 1, 2, 3, 4], [0.0, 1.0, 2.0, 3.0, 4.0])) is None
