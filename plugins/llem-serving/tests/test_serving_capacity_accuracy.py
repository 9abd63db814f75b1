"""Accuracy of the search for capacity on the simulated server; `python -m sim.serving` repeats it over 100 seeds."""

from __future__ import annotations

from sim.serving.searching import REFERENCE, REFERENCE_CAPACITY_RPS, accuracy


def test_capacity_is_found_within_three_percent_by_ten_runs_of_5000_requests() -> None:
    found = accuracy(REFERENCE, REFERENCE_CAPACITY_RPS, range(20), energy=False)
    assert found.within(0.03) >= 19, found
    assert found.covered >= 18, found
    assert max(found.runs) <= 10
