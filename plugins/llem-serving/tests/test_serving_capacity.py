"""The search for capacity, on servers that are formulas: which runs it asks for, and what it answers."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llem.plugin_api import ConfigError
from llem_serving.capacity import Answer, CapacitySearch
from llem_serving.capacity.bounds import bounds_of, next_to_bracket, to_repeat
from llem_serving.capacity.capacity_estimate import CapacityEstimate
from llem_serving.capacity.crossing import crossing_of
from llem_serving.capacity.normal import log_cdf
from llem_serving.capacity.runs import Parts, Run, Steady, run_of

NORMAL = statistics.NormalDist()
Server = Callable[[float], tuple[Parts, Steady, float | None]]
"""Given a rate: parts, steadiness, and what was completed."""


def even(attainment: float, requests: int = 5_001) -> list[tuple[int, int]]:
    """Three equal parts."""
    each = requests // 3
    return [(round(attainment * each), each)] * 3


def smooth(capacity: float, slope: float, wanted: float) -> Server:
    """Attainment is a probit of the rate; no noise but rounding."""
    z = NORMAL.inv_cdf(wanted)
    return lambda rate: (even(NORMAL.cdf(max(-9.0, z - slope * (rate / capacity - 1)))), True, None)


def cliff(capacity: float, completed: bool = True) -> Server:
    """All is kept up to capacity, and the queue grows above."""

    def run(rate: float) -> tuple[Parts, Steady, float | None]:
        if rate <= capacity:
            return even(1.0), True, rate
        return even(0.0), "saturated", capacity if completed else None

    return run


def played(search: CapacitySearch, server: Server) -> list[float]:
    """Rates that the search asks for until it is done."""
    asked = []
    while (rate := search.ask()) is not None:
        parts, steady, completed = server(rate)
        search.tell(rate, parts, steady, completed_rps=completed)
        asked.append(rate)
        found = search.answer()
        assert found.low_rps <= (found.rate_rps or found.high_rps) <= found.high_rps
        assert found.runs == len(asked)
    return asked


@settings(max_examples=8, deadline=None)
@given(
    st.floats(math.log(1 / 50), math.log(300)),
    st.floats(4, 25),
    st.sampled_from([0.5, 0.9, 0.99]),
)
@example(-2.96875, 15.0, 0.5)  # steep, and nearly 20 times below the start
@example(-2.96875, 10.0, 0.5)  # its third run keeps 1.5 %: next to nothing, and more than the two above it
def test_it_finds_the_crossing_from_a_start_that_is_far_off(log_capacity: float, slope: float, wanted: float) -> None:
    capacity = math.exp(log_capacity)
    search = CapacitySearch(wanted, 1.0)
    assert len(played(search, smooth(capacity, slope, wanted))) <= 10
    found = search.answer()
    if 1 / 20 < capacity < 20:
        assert found.rate_rps == pytest.approx(capacity, rel=0.03)
    assert found.low_rps <= capacity * 1.01
    assert found.high_rps >= capacity / 1.01


@pytest.mark.parametrize("start", [0.4, 5.0, 80.0])
def test_it_narrows_a_cliff_down(start: float) -> None:
    search = CapacitySearch(0.99, start)
    asked = played(search, cliff(7.0))
    found = search.answer()
    held = max(rate for rate in asked if rate <= 7.0)
    broke = min(rate for rate in asked if rate > 7.0)
    assert broke / held < 1.12
    assert found.high_rps <= broke * (1 + 1e-9)
    assert found.rate_rps == pytest.approx(7.0, rel=0.1)
    assert "no longer steady" in found.why or "did not" in found.why


def test_a_cliff_is_bisected_until_the_bracket_is_as_narrow_as_was_asked_for() -> None:
    search = CapacitySearch(0.99, 6.0, precision=0.05)
    asked = played(search, cliff(7.0))
    assert len(asked) < 10
    assert search.answer().why.startswith(f"{max(r for r in asked if r <= 7):.4g} requests/s held")


def test_what_a_saturated_run_completed_shortens_the_search() -> None:
    with_it, without = (CapacitySearch(0.99, 400.0) for _ in range(2))
    asked, blind = played(with_it, cliff(7.0)), played(without, cliff(7.0, completed=False))
    assert asked[:2] == [400.0, pytest.approx(6.3)]
    assert blind[:3] == [400.0, 200.0, 20.0]


@pytest.mark.parametrize("server", [smooth(30.0, 9.0, 0.99), cliff(30.0)])
def test_a_search_that_is_told_its_old_runs_goes_on_where_it_was(server: Server) -> None:
    first = CapacitySearch(0.99, 2.0)
    told: list[float] = []
    while (rate := first.ask()) is not None:
        again = CapacitySearch(0.99, 2.0)
        for old in told:
            assert again.ask() == old
            again.tell(old, *server(old)[:2], completed_rps=server(old)[2])
        assert again.ask() == rate
        assert again.answer() == first.answer()
        first.tell(rate, *server(rate)[:2], completed_rps=server(rate)[2])
        told.append(rate)
    assert len(told) > 4


def test_it_makes_no_more_runs_than_it_may_and_ends_early_where_it_knows_enough() -> None:
    server = smooth(5.0, 9.0, 0.99)
    few, rough, fine = (
        CapacitySearch(0.99, 3.0, most_runs=3),
        CapacitySearch(0.99, 3.0, precision=0.15),
        CapacitySearch(0.99, 3.0, precision=1e-6),
    )
    assert len(played(few, server)) == 3
    assert 3 <= len(played(rough, server)) < 10
    assert len(played(fine, server)) == 10
    assert "reaches no further than 15 %" in rough.answer().why
    assert "All 10 runs are made" in fine.answer().why


def test_before_any_run_it_asks_for_the_start_and_knows_nothing() -> None:
    search = CapacitySearch(0.99, 2.5)
    assert search.ask() == 2.5
    assert search.answer() == Answer(None, 0.0, math.inf, 0, "Nothing has run yet.")


def test_where_no_rate_keeps_the_objectives_it_says_so() -> None:
    search = CapacitySearch(0.99, 64.0)
    asked = played(search, lambda rate: (even(0.0), True, None))
    found = search.answer()
    assert asked == sorted(asked, reverse=True)
    assert (found.rate_rps, found.low_rps, found.high_rps) == (None, 0.0, min(asked))
    assert "none was steady and kept the objectives" in found.why
    assert len(asked) == 3, "lower rates take ever longer, and nothing says that they would hold"


def test_where_every_rate_keeps_the_objectives_it_gives_the_highest() -> None:
    search = CapacitySearch(0.99, 1.0)
    asked = played(search, lambda rate: (even(1.0), True, None))
    found = search.answer()
    assert asked[:4] == [1.0, 2.0, 20.0, 200.0]
    assert (found.rate_rps, found.high_rps) == (max(asked), math.inf)
    assert "no rate was too high" in found.why


def test_a_rate_that_was_unsteady_once_is_run_again_and_twice_bounds_capacity() -> None:
    search = CapacitySearch(0.99, 8.0)
    search.tell(8.0, even(1.0), False)
    assert search.ask() == 8.0
    search.tell(8.0, even(1.0), False)
    assert search.answer().high_rps == 8.0
    assert search.answer().rate_rps is None
    assert (search.ask() or 9) < 8.0

    chance = CapacitySearch(0.99, 8.0)
    chance.tell(8.0, even(1.0), False)
    chance.tell(8.0, even(1.0), True)
    assert (chance.ask() or 0) > 8.0
    assert chance.answer().rate_rps == 8.0


def test_an_unsteady_run_that_missed_the_objectives_is_not_run_again() -> None:
    assert to_repeat([run_of(8.0, even(0.9), False)], 0.99) is None
    assert to_repeat([run_of(8.0, even(0.995), False)], 0.99) == 8.0
    assert to_repeat([run_of(8.0, even(0.995), True)], 0.99) is None


def test_bounds_are_what_held_what_missed_and_what_saturated() -> None:
    runs = [
        run_of(4.0, even(1.0), True),
        run_of(5.0, even(0.991), True),
        run_of(6.0, even(1.0), False),
        run_of(7.0, even(0.9), True),
        run_of(9.0, even(0.3), "saturated"),
    ]
    bounds = bounds_of(runs, 0.99)
    assert (bounds.held_rps, bounds.missed_rps, bounds.limit_rps) == (5.0, 7.0, 9.0)
    # A rate that saturated below one that was steady was chance.
    for rate in (4.5, 6.5, 7.0):
        bounds = bounds_of([*runs, run_of(rate, even(0.3), "saturated")], 0.99)
        assert (bounds.missed_rps, bounds.limit_rps) == (7.0, 9.0)
    # One that kept the objectives is none until another run says the same.
    kept = run_of(8.0, even(1.0), "saturated")
    assert bounds_of([*runs, kept], 0.99).limit_rps == 9.0
    assert bounds_of([*runs, kept, kept], 0.99).limit_rps == 8.0


def test_what_one_run_says_alone_is_doubtful() -> None:
    one, again = run_of(9.0, even(0.3), "saturated"), run_of(9.0, even(0.9), "saturated")
    assert bounds_of([one], 0.99).is_doubtful
    assert not bounds_of([one, again], 0.99).is_doubtful
    assert not bounds_of([], 0.99).is_doubtful


@pytest.mark.parametrize("attainment", [1.0, 0.9, 0.3], ids=["kept", "missed", "missed by far"])
@pytest.mark.parametrize("at", range(7))
def test_one_false_verdict_of_saturation_does_not_cap_the_search(at: int, attainment: float) -> None:
    server, asked = smooth(50.0, 9.0, 0.99), list[float]()

    def mistaken(rate: float) -> tuple[Parts, Steady, float | None]:
        asked.append(rate)
        return (even(attainment), "saturated", 0.9 * rate) if len(asked) == at + 1 else server(rate)

    search = CapacitySearch(0.99, 10.0, most_runs=12)
    played(search, mistaken)
    found = search.answer()
    assert found.rate_rps == pytest.approx(50.0, rel=0.05), (asked, found)


@pytest.mark.parametrize("at", range(1, 6))
def test_one_false_verdict_below_a_cliff_does_not_cap_the_search(at: int) -> None:
    server, asked = cliff(50.0), list[float]()

    def mistaken(rate: float) -> tuple[Parts, Steady, float | None]:
        asked.append(rate)
        return (even(0.3), "saturated", 0.9 * rate) if len(asked) == at and rate < 50 else server(rate)

    search = CapacitySearch(0.99, 10.0, most_runs=20)
    played(search, mistaken)
    found = search.answer()
    assert found.rate_rps == pytest.approx(50.0, rel=0.05), (asked, found)


def test_a_run_in_which_some_missed_needs_no_more_brackets() -> None:
    assert next_to_bracket([run_of(8.0, even(0.5), True)], 0.99) is None
    assert next_to_bracket([run_of(8.0, even(0.5), "saturated")], 0.99) == 4.0
    assert next_to_bracket([run_of(8.0, even(0.01), True)], 0.99) == 4.0


def test_the_middle_of_the_bracket_is_run_while_every_run_keeps_all_or_nothing() -> None:
    search = CapacitySearch(0.99, 4.0)
    search.tell(4.0, even(1.0), True)
    search.tell(9.0, even(0.0), "saturated")
    assert search.ask() == pytest.approx(6.0)


def crossing_rates(runs: list[Run]) -> tuple[float, float, float]:
    """Ends and middle of the crossing's interval."""
    found = crossing_of(runs, 0.99, 1.0, 100.0)
    return found.quantile(0.025), found.rate_rps, found.quantile(0.975)


def test_misses_in_bursts_widen_the_interval() -> None:
    """Parts are what is compared: the same sums, unevenly over the parts, are worth less."""
    evenly = [run_of(rate, even(share), True) for rate, share in ((10.0, 0.99), (11.0, 0.95), (12.0, 0.8))]
    uneven = [
        run_of(
            run.rate_rps,
            [(n - round(missed * (n - k)), n) for (k, n), missed in zip(run.parts, (0.2, 0.5, 2.3), strict=True)],
            True,
        )
        for run in evenly
    ]
    for a, b in zip(evenly, uneven, strict=True):
        assert a.attainment == pytest.approx(b.attainment, abs=1e-3)
    narrow, wide = (crossing_rates(runs) for runs in (evenly, uneven))
    assert wide[2] / wide[0] - 1 > 1.5 * (narrow[2] / narrow[0] - 1)
    assert narrow[1] == pytest.approx(10.0, rel=0.02)


def test_a_run_counts_at_the_rate_that_was_drawn_where_its_window_is_known() -> None:
    """A tenth more arrivals than asked, in the same windows: the curve lies a tenth higher."""
    asked = [(10.0, 0.99), (11.0, 0.95), (12.0, 0.8)]
    exact = [run_of(rate, even(share), True, window_s=5001 / rate) for rate, share in asked]
    drawn = [run_of(rate, even(share), True, window_s=5001 / rate / 1.1) for rate, share in asked]
    unknown = [run_of(rate, even(share), True) for rate, share in asked]
    assert crossing_rates(exact) == pytest.approx(crossing_rates(unknown), rel=1e-6)
    assert crossing_rates(drawn)[1] / crossing_rates(exact)[1] == pytest.approx(1.1, rel=0.02)


def test_rates_that_scatter_around_the_asked_one_lower_attainment_and_the_crossing_allows_for_that() -> None:
    """Parts on one curve of the drawn rate; the crossing is where their mean, not the curve, is at the wanted one."""
    z, slope, scatter = NORMAL.inv_cdf(0.99), 12.0, 0.06
    runs = []
    for rate in (9.0, 9.5, 10.0, 10.5, 11.0):
        parts = []
        for off in (-scatter, -scatter, scatter, scatter):
            n = round(2_500 * (1 + off))
            parts.append((round(n * NORMAL.cdf(z - slope * (rate * (1 + off) / 10 - 1))), n))
        runs.append(run_of(rate, parts, True, window_s=10_000 / rate))
    expected = 10 * (1 + (z - z * math.sqrt(1 + (slope * scatter) ** 2)) / slope)
    assert expected < 9.6
    assert crossing_rates(runs)[1] == pytest.approx(expected, rel=0.012)


def test_runs_far_from_the_crossing_do_not_bend_it() -> None:
    near = [
        run_of(rate, even(share), True) for rate, share in ((9.5, 0.996), (10.0, 0.99), (10.5, 0.976), (11.0, 0.95))
    ]
    far = [run_of(30.0, even(0.05), True)]  # a probit through the others would have left nothing here
    assert crossing_rates([*near, *far])[1] == pytest.approx(crossing_rates(near)[1], rel=0.01)


def test_logarithms_of_the_normal_distribution() -> None:
    z = np.linspace(-7.9, 7.9, 997)
    expected = [math.log(math.erfc(-one / math.sqrt(2)) / 2) for one in z]
    assert log_cdf(z) == pytest.approx(expected, rel=1e-4, abs=1e-12)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"attainment": 1.0}, "slo.attainment"),
        ({"attainment": 0.0}, "slo.attainment"),
        ({"attainment": math.nan}, "slo.attainment"),
        ({"attainment": 0.9, "start_rps": 0.0}, "load.rate_rps"),
        ({"attainment": 0.9, "start_rps": math.nan}, "load.rate_rps"),
        ({"attainment": 0.9, "most_runs": 0}, "1 run or more"),
        ({"attainment": 0.9, "precision": 0.0}, "between 0 and 1"),
    ],
)
def test_a_search_that_cannot_be_made_is_refused(arguments: dict[str, float], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        CapacitySearch(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rate", "parts", "window", "said"),
    [
        (0.0, [(1, 1)], None, "above 0"),
        (math.inf, [(1, 1)], None, "above 0"),
        (1.0, [], None, "Each part"),
        (1.0, [(2, 1)], None, "Each part"),
        (1.0, [(-1, 1)], None, "Each part"),
        (1.0, [(0, 0), (0, 0)], None, "no request arrived"),
        (1.0, [(1, 1)], 0.0, "window"),
        (1.0, [(1, 1)], math.nan, "window"),
    ],
)
def test_impossible_runs_are_refused(rate: float, parts: Parts, window: float | None, said: str) -> None:
    search = CapacitySearch(0.99)
    with pytest.raises(ConfigError, match=said):
        search.tell(rate, parts, True, window_s=window)
    assert search.ask() == 1.0


def test_parts_without_requests_do_no_harm() -> None:
    search = CapacitySearch(0.99, 10.0)
    search.tell(10.0, [(95, 100), (0, 0), (90, 100)], True, window_s=20.0)
    assert (search.ask() or 0) > 0
    assert search.answer().rate_rps


def test_of_runs_that_saturated_the_one_that_completed_least_tells_where_capacity_is() -> None:
    runs = [
        run_of(64.0, even(0.0), "saturated", completed_rps=30.0),
        run_of(32.0, even(0.0), "saturated", completed_rps=20.0),
        run_of(1.0, even(1.0), True),
    ]
    assert next_to_bracket(runs, 0.99) == pytest.approx(18.0)


@pytest.mark.parametrize(("missed", "is_over"), [(10.25, True), (10.4, False)])
def test_a_bracket_of_a_cliff_is_narrow_where_it_is_as_narrow_as_was_asked(missed: float, is_over: bool) -> None:
    runs = [run_of(10.0, even(1.0), True), *[run_of(missed, even(0.0), "saturated")] * 2]
    assert (CapacityEstimate(runs, 0.99).next_rate(0.03) is None) is is_over
