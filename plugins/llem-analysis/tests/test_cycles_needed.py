"""Number of cycles that tell a difference: against the power of simulated t tests."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from llem_analysis.cycles_needed import cycles_against, cycles_for, spread_of_study
from llem_analysis.design import configured


@pytest.mark.parametrize(("ratio", "sd"), [(1.05, 0.02), (1.02, 0.02), (0.9, 0.05)])
def test_so_many_cycles_tell_it_in_four_of_five_studies_and_one_less_does_not(ratio: float, sd: float) -> None:
    cycles = cycles_for(math.log(ratio), sd, 2.0, 4, 1)
    assert cycles is not None
    rng = np.random.default_rng(1)

    def told(many: int) -> float:
        df = 3 * (many - 1)
        seen = rng.normal(math.log(ratio), sd * math.sqrt(2 / many), 20_000)
        errors = sd * np.sqrt(2 / many * rng.chisquare(df, 20_000) / df)
        return float((np.abs(seen / errors) > stats.t.isf(0.025, df)).mean())

    assert told(cycles) > 0.79
    if cycles > 2:
        assert told(cycles - 1) < 0.81


@pytest.mark.parametrize("distances", [[0.03], [0.05, 0.05], [0.03, 0.07]])
def test_so_many_cycles_against_some_that_stay_tell_all_limits_in_four_of_five_studies(distances: list[float]) -> None:
    sd, against = 0.03, 12
    cycles = cycles_against(distances, sd, against, 3, 0.05)
    assert cycles is not None
    rng = np.random.default_rng(2)

    def told(many: int) -> float:
        """The truth lies at 0, one limit below it, the other, if any, above."""
        df, spread = against + many - 2, math.sqrt(1 / against + 1 / many)
        seen = rng.normal(0, sd * spread, 40_000)
        errors = sd * np.sqrt(rng.chisquare(df, 40_000) / df) * spread
        least = stats.t.isf(0.05, df) * errors
        found = seen + distances[0] > least
        return float((found & (distances[1] - seen > least)).mean() if distances[1:] else found.mean())

    assert told(cycles) > 0.79
    assert told(cycles - 1) < 0.81


def test_cycles_that_stay_may_be_too_few_for_any_number_of_others() -> None:
    assert cycles_against([0.01], 0.05, 3, 3, 0.05) is None
    assert cycles_against([0.01], 0.0, 3, 4, 0.05) == 4
    assert cycles_against([0.5], 0.01, 3, 101, 0.05) is None
    few, many = (cycles_against([0.03], 0.03, 12, 3, 0.05, tests) for tests in (1, 3))
    assert few is not None
    assert many is None or few < many


def test_a_small_difference_takes_more_cycles_and_a_tiny_one_more_than_anybody_runs() -> None:
    found = [cycles_for(math.log1p(size), 0.02, 2.0, 4, 3) for size in (0.5, 0.1, 0.03)]
    assert all(one is not None for one in found)
    assert found == sorted(found, key=lambda one: one or 0)
    assert cycles_for(math.log1p(1e-4), 0.02, 2.0, 4, 3) is None


def test_more_tests_at_once_take_more_cycles() -> None:
    few, many = cycles_for(0.03, 0.02, 2.0, 4, 1), cycles_for(0.03, 0.02, 2.0, 4, 40)
    assert few is not None
    assert many is not None
    assert few < many


def test_values_that_do_not_vary_need_two_cycles() -> None:
    assert cycles_for(0.1, 0.0, 2.0, 4, 1) == 2


def test_the_spread_is_that_within_configurations() -> None:
    rows = [
        {"config_hash": h, "status": "done", "position": i, "x": v}
        for i, (h, v) in enumerate([("a", 1.0), ("a", 1.1), ("b", 50.0), ("b", 55.0), ("c", 7.0)])
    ]
    found = spread_of_study(configured(rows), "x", "earlier")
    assert found is not None
    assert found.sd == pytest.approx(math.log(1.1) / math.sqrt(2))
    assert spread_of_study(configured(rows[-1:]), "x", "earlier") is None
