"""A figure's interval holds the median as often as it says, and there is none where there cannot be one."""

from __future__ import annotations

import random

import pytest

from bench.report import Figure


@pytest.mark.parametrize("n", [6, 15, 20, 40])
def test_the_interval_holds_the_true_median_in_95_percent_of_all_studies(n):
    noise = random.Random(n)
    held = sum(
        figure.low <= 1.0 <= figure.high
        for figure in (Figure.of([noise.lognormvariate(0, 0.5) for _ in range(n)], "1") for _ in range(4_000))
    )
    assert 0.94 <= held / 4_000 <= 0.985  # exact to the steps of the binomial distribution


def test_fewer_than_six_runs_have_a_median_and_no_interval():
    figure = Figure.of([1.0, 3.0, 2.0, 5.0, 4.0], "s")
    assert (figure.value, figure.low, figure.high, figure.spread) == (3.0, None, None, None)


def test_the_interval_shrinks_with_more_runs():
    noise = random.Random(1)
    few, many = (Figure.of([noise.gauss(1, 0.1) for _ in range(n)], "1") for n in (10, 1_000))
    assert many.spread < few.spread / 3
