"""The 95 % interval of few cycles holds the true mean about as often as it says, by simulation with a fixed seed."""

from __future__ import annotations

import math

import pytest

from bench.interval_coverage import POPULATIONS, coverage

STUDIES = 400


def deviations(share: float, of: float) -> float:
    """The distance of this share from another, in standard errors of the simulation."""
    return (share - of) / math.sqrt(of * (1 - of) / STUDIES)


@pytest.mark.parametrize("n", [3, 5])
def test_below_six_cycles_what_is_shown_covers_normal_values_as_it_says(n: int) -> None:
    assert abs(deviations(coverage(POPULATIONS["normal"], n, STUDIES, ["shown"])["shown"], 0.95)) < 3


@pytest.mark.parametrize("n", [6, 10, 20])
def test_from_six_cycles_on_the_bootstrap_covers_normal_values_nearly_as_it_says(n: int) -> None:
    found = coverage(POPULATIONS["normal"], n, STUDIES, ["shown"])["shown"]
    assert deviations(found, 0.93) > -3
    assert deviations(found, 0.95) < 3


@pytest.mark.parametrize("n", [3, 5, 10])
def test_what_is_shown_covers_more_than_the_percentile_bootstrap(n: int) -> None:
    for population in POPULATIONS.values():
        found = coverage(population, n, 150, ["shown", "percentile"])
        assert found["shown"] > found["percentile"]


def test_no_bootstrap_of_three_cycles_covers_more_than_their_range_does() -> None:
    found = coverage(POPULATIONS["normal"], 3, STUDIES, ["expanded", "percentile", "bca"])
    for share in found.values():
        assert deviations(share, 0.75) < 3, "1 - 2 / 2³"


def test_skewed_values_are_covered_less_but_not_far_less() -> None:
    for name in ("lognormal", "exponential"):
        for n in (3, 10):
            assert coverage(POPULATIONS[name], n, STUDIES, ["shown"])["shown"] > 0.82
