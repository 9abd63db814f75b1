"""Answers of a search lie between the rates that ran, whatever the model has beyond them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_serving_capacity_energy import played, run

from llem_serving.capacity import EnergySearch
from llem_serving.capacity.answer import Answer
from llem_serving.capacity.capacity_estimate import CapacityEstimate
from llem_serving.capacity.energy_estimate import EnergyEstimate
from llem_serving.capacity.runs import Run, run_of

CAPACITY_RPS = 10.0
SHARES = st.lists(st.floats(0.5, 1.3), min_size=1, max_size=7)
"""Of capacity: the rates that ran."""


def runs_at(rates: Sequence[float], least_rps: float, scatter: Sequence[float]) -> list[Run]:
    """Runs whose energies lie on the curve of this least, each off by its share."""
    found = []
    for number, rate in enumerate(rates):
        parts, energy = run(rate, CAPACITY_RPS, least_rps)
        off = [1 + scatter[(number + part) % len(scatter)] for part in range(3)]
        scattered = [(joules * by, good) for (joules, good), by in zip(energy, off, strict=True)]
        found.append(run_of(rate, parts, True, energy=scattered))
    return found


def check_within(found: Answer, rates: Sequence[float]) -> None:
    assert found.low_rps <= found.high_rps
    if found.rate_rps is not None:
        assert min(rates) <= found.rate_rps <= max(rates)
        assert found.low_rps <= found.rate_rps <= found.high_rps


@settings(deadline=None, max_examples=60)
@given(SHARES, st.floats(0.05, 2.0), st.lists(st.floats(-0.03, 0.03), min_size=1, max_size=5))
@example([0.7, 0.85, 0.95, 1.05], 0.2, [0.0])
def test_no_answer_lies_outside_of_the_rates_that_ran(shares: list[float], least: float, scatter: list[float]) -> None:
    rates = [share * CAPACITY_RPS for share in shares]
    told = runs_at(rates, least * CAPACITY_RPS, scatter)
    for number in range(1, len(told) + 1):
        for estimate in (CapacityEstimate(told[:number], 0.99), EnergyEstimate(told[:number], 0.99)):
            check_within(estimate.answer(10, 0.02), rates[:number])


def test_where_energy_is_least_below_all_that_ran_the_answer_is_the_lowest_and_says_so() -> None:
    estimate = EnergyEstimate(runs_at([7.0, 8.5, 9.5, 10.5], 2.0, [0.0]), 0.99)
    assert statistics.median(estimate.interval()) < 7.0, "or there is nothing to keep within the rates"
    found = estimate.answer(10, 0.02)
    assert found.rate_rps == 7.0
    assert (found.low_rps, found.high_rps) == (0.0, 7.0)
    assert "No run tells of energy below 7 requests/s, where the model has the rate." in found.said
    assert "no further" not in found.why


def test_the_search_for_the_least_goes_on_to_where_the_model_has_it() -> None:
    asked = played(search := EnergySearch(0.99, 8.0, most_runs=16), CAPACITY_RPS, 2.0)
    found = search.answer()
    assert found.rate_rps is not None
    assert min(asked) <= found.rate_rps
    assert abs(math.log(found.rate_rps / 2.0)) < 0.05, (found, asked)
    assert found.beyond == ""


def test_capacity_is_not_told_where_every_rate_that_ran_is_above_it() -> None:
    told = runs_at([13.0, 12.5], 7.0, [0.0])
    found = CapacityEstimate(told, 0.99).answer(2, 0.02)
    assert found.rate_rps is None
    assert found.high_rps <= 12.5
    assert "Nothing ran below 12.5 requests/s, where the model has the rate." in found.said
    assert (CapacityEstimate(told, 0.99).next_rate(0.02) or math.inf) < 12.5
