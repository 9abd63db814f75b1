"""Awaiting ticks of counters around an edge: which are taken, when the edge is, and when nothing more is awaited."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import pytest

from llem.measure import ticks
from llem.measure.ticks import TickWatch

MS = 1_000_000
Reading = Mapping[int, tuple[int, float]]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The time in ns, which only readings move."""
    now = [0]
    monkeypatch.setattr(ticks.time, "monotonic_ns", lambda: now[0])
    return now


def cards(clock: list[int], phases_ms: Mapping[int, float], period_ms: float = 20, call_ns: int = 100_000) -> Any:
    """Counters of 100 W that tick with one period at different phases; each reading of them takes a while."""

    def read() -> Reading:
        clock[0] += call_ns
        found = {}
        for index, phase in phases_ms.items():
            tick = (clock[0] / MS - phase) // period_ms * period_ms + phase
            found[index] = (clock[0], 100 * tick / 1000)
        return found

    return read


def run(counters: Callable[[], Reading], timeout_s: float = 1, limit: int = 100_000) -> TickWatch:
    watch = TickWatch(counters(), timeout_s)
    for _ in range(limit):
        if watch.done:
            return watch
        watch.observe(counters())
    raise AssertionError("it never ends")


def test_one_counter_is_the_edge_itself(clock: list[int]) -> None:
    watch = run(cards(clock, {0: 7.0}))
    assert watch.edge_ns == pytest.approx(7 * MS, abs=0.06 * MS)
    assert watch.at_edge() == {0: (watch.edge_ns, pytest.approx(0.7))}


def test_of_several_the_last_first_tick_is_the_edge_and_the_others_tick_on_both_sides(clock: list[int]) -> None:
    watch = run(cards(clock, {0: 3.0, 1: 18.0, 2: 9.0}))
    assert watch.edge_ns == pytest.approx(18 * MS, abs=0.06 * MS)
    assert watch.at_edge()[0][0] == pytest.approx(3 * MS, abs=0.06 * MS)
    for index in (0, 2):
        times = [t for t, _ in watch.ticks[index]]
        assert times[0] <= watch.edge_ns <= times[-1]
        assert all(b - a == pytest.approx(20 * MS, abs=0.2 * MS) for a, b in pairwise(times))


def test_a_tick_that_was_seen_late_is_passed_over(clock: list[int]) -> None:
    read = cards(clock, {0: 7.0})

    def interrupted() -> Reading:
        if 5 * MS < clock[0] < 7 * MS:
            clock[0] += 6 * MS  # the machine did something else when the counter ticked
        return read()

    watch = run(interrupted)
    assert watch.edge_ns == pytest.approx(27 * MS, abs=0.06 * MS)


def test_where_every_tick_is_seen_late_the_best_of_them_serves(clock: list[int]) -> None:
    read, turn = cards(clock, {0: 0.0}, call_ns=0), [0]

    def coarse() -> Reading:
        turn[0] += 1
        clock[0] += (100_000, 11 * MS, 100_000, 9 * MS)[turn[0] % 4]
        return read()

    watch = run(coarse, timeout_s=0.3)
    assert len(watch.ticks[0]) == 1
    assert watch.edge_ns is not None


def test_a_slow_meter_has_no_exact_ticks(clock: list[int]) -> None:
    watch = run(cards(clock, {0: 0.0}, call_ns=300 * MS))
    assert (watch.edge_ns, watch.ticks) == (None, {})


@pytest.mark.parametrize("after", [{}, {0: (0, -5.0)}])
def test_a_counter_that_fails_or_goes_back_is_not_waited_for(clock: list[int], after: Reading) -> None:
    both: Callable[[], Reading] = cards(clock, {0: 5.0, 1: 9.0})

    def failing() -> Reading:
        found = dict(both())
        if clock[0] > 2 * MS:
            found.pop(0)
            found |= {index: (clock[0], joules) for index, (_, joules) in after.items()}
        return found

    watch = run(failing)
    assert set(watch.at_edge()) == {1}


def test_counters_that_stand_still_are_waited_for_no_longer_than_told(clock: list[int]) -> None:
    watch = run(cards(clock, {0: 0.0}, period_ms=1e9), timeout_s=0.25)
    assert watch.edge_ns is None
    assert clock[0] == pytest.approx(250 * MS, abs=1 * MS)


def test_without_counters_nothing_is_awaited() -> None:
    watch = TickWatch({}, timeout_s=1)
    assert watch.settled
    assert watch.done


def test_a_tick_is_stamped_in_the_middle_of_the_two_readings_between_which_it_happened() -> None:
    """Joules are charged from this instant on: at either reading the window would be off by half a reading, each time one way."""
    watch = TickWatch({0: (1_000_000, 5.0)}, timeout_s=1e9)
    watch.observe({0: (1_200_000, 5.0)})
    watch.observe({0: (1_500_000, 7.0)})
    assert watch.ticks == {0: [(1_350_000, 7.0)]}
    assert watch.edge_ns == 1_350_000
