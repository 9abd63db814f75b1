"""The search for the rate of the least joules per good token within the SLO."""

from __future__ import annotations

import math
import statistics

import pytest
from sim.serving.searching import REFERENCE, REFERENCE_LEAST_RPS, accuracy

from llem.plugin_api import ConfigError
from llem_serving.capacity import EnergySearch
from llem_serving.capacity.capacity_estimate import CapacityEstimate
from llem_serving.capacity.energy_curve import curve_of
from llem_serving.capacity.energy_estimate import EnergyEstimate
from llem_serving.capacity.runs import Parts, run_of

NORMAL = statistics.NormalDist()
Energies = list[tuple[float, float]]


def run(rate: float, capacity: float, least: float) -> tuple[Parts, Energies]:
    """Attainment is a probit, 0.99 at capacity; joules per token are least / rate + rate / least + 3."""
    share = NORMAL.cdf(max(-9.0, NORMAL.inv_cdf(0.99) - 9 * (rate / capacity - 1)))
    kept = round(1_667 * share)
    joules = least / rate + rate / least + 3
    return [(kept, 1_667)] * 3, [(joules * 100_000, 100_000 * kept / 1_667)] * 3


def played(search: EnergySearch, capacity: float, least: float) -> list[float]:
    """Rates that the search asks for until it is done."""
    asked = []
    while (rate := search.ask()) is not None:
        parts, energy = run(rate, capacity, least)
        search.tell(rate, parts, True, energy_by_part=energy)
        asked.append(rate)
    return asked


@pytest.mark.parametrize(("capacity", "least"), [(10.0, 7.0), (100.0, 40.0), (0.5, 0.4)])
def test_it_finds_a_least_below_capacity(capacity: float, least: float) -> None:
    search = EnergySearch(0.99, 1.0)
    assert len(played(search, capacity, least)) <= 10
    found = search.answer()
    assert found.rate_rps == pytest.approx(least, rel=0.02)
    assert found.low_rps <= found.rate_rps <= found.high_rps
    assert "capacity" not in found.why


def test_capacity_bounds_it_where_energy_falls_up_to_there() -> None:
    search = EnergySearch(0.99, 1.0)
    assert len(played(search, 10.0, 25.0)) <= 10
    found = search.answer()
    assert found.rate_rps == pytest.approx(10.0, rel=0.03)
    assert "Energy falls up to the capacity" in found.why


def test_it_needs_runs_at_three_rates() -> None:
    search = EnergySearch(0.99, 6.0, most_runs=2)
    played(search, 10.0, 7.0)
    found = search.answer()
    assert found.rate_rps is None
    assert "three rates" in found.why
    assert EnergySearch(0.99).answer().rate_rps is None


def test_a_search_that_is_told_its_old_runs_goes_on_where_it_was() -> None:
    asked = played(EnergySearch(0.99, 3.0), 10.0, 7.0)
    again = EnergySearch(0.99, 3.0)
    for rate in asked:
        assert again.ask() == rate
        parts, energy = run(rate, 10.0, 7.0)
        again.tell(rate, parts, True, energy_by_part=energy)
    assert again.ask() is None


def test_the_curve_is_the_one_that_the_energies_lie_on() -> None:
    rates = (6.0, 7.0, 8.0, 9.0)
    found = curve_of([run_of(r, *run(r, 20.0, 7.5)[:1], True, energy=run(r, 20.0, 7.5)[1]) for r in rates])
    assert found is not None
    assert found.coefficients.tolist() == pytest.approx([7.5, 3.0, 1 / 7.5], rel=1e-6)
    assert (found.draws().std(axis=0) > 0).all()


def test_what_the_energies_scatter_the_curve_may_be_off() -> None:
    exact, scattered = (
        curve_of(
            [
                run_of(
                    r,
                    run(r, 20.0, 7.5)[0],
                    True,
                    energy=[(j * (1 + off * i), g) for i, (j, g) in zip((-1, 0, 1), e, strict=True)],
                )
                for r in (6.0, 7.0, 8.0, 9.0)
                for e in (run(r, 20.0, 7.5)[1],)
            ]
        )
        for off in (0.0, 0.02)
    )
    assert exact is not None
    assert scattered is not None
    assert scattered.noise == pytest.approx(0.02, rel=0.3)
    assert (scattered.draws().std(axis=0) > 5 * exact.draws().std(axis=0)).all()


def test_where_capacity_bounds_the_least_runs_go_to_capacity() -> None:
    told = [run_of(r, run(r, 10.0, 25.0)[0], True, energy=run(r, 10.0, 25.0)[1]) for r in (6.0, 8.0, 9.5, 11.0)]
    energy, capacity = EnergyEstimate(told, 0.99), CapacityEstimate(told, 0.99)
    assert energy.next_rate(1e-6) == capacity.next_rate(1e-6)
    below = [run_of(r, run(r, 10.0, 6.0)[0], True, energy=run(r, 10.0, 6.0)[1]) for r in (6.0, 8.0, 9.5, 11.0)]
    assert (EnergyEstimate(below, 0.99).next_rate(1e-6) or 0) < 8.5


def test_runs_that_saturated_or_lost_most_tokens_are_left_out() -> None:
    told = [run_of(r, run(r, 20.0, 7.5)[0], True, energy=run(r, 20.0, 7.5)[1]) for r in (6.0, 7.0, 8.0)]
    lost = run_of(7.0, [(100, 1_000)] * 3, True, energy=[(9e9, 5.0)] * 3)
    saturated = run_of(7.0, [(1_000, 1_000)] * 3, "saturated", energy=[(9e9, 5.0)] * 3)
    found, other = curve_of(told), curve_of([*told, lost, saturated])
    assert found is not None
    assert other is not None
    assert other.coefficients.tolist() == found.coefficients.tolist()


@pytest.mark.parametrize(
    ("energy", "said"),
    [
        ([(1.0, 1.0)], "Each part of the window has an energy"),
        ([(0.0, 1.0)] * 3, "joules"),
        ([(math.nan, 1.0)] * 3, "joules"),
        ([(1.0, -1.0)] * 3, "good tokens"),
    ],
)
def test_impossible_energies_are_refused(energy: Energies, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        EnergySearch(0.99).tell(1.0, [(1, 1)] * 3, True, energy_by_part=energy)


def test_the_least_is_found_within_three_percent_on_the_simulated_server() -> None:
    found = accuracy(REFERENCE, REFERENCE_LEAST_RPS, range(8), energy=True)
    assert found.within(0.03) >= 7, found
    assert found.covered >= 7, found
