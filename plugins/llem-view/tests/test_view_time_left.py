"""The time that a study still takes, from those of its experiments that have ended."""

from __future__ import annotations

import pytest

from llem_view.time_left import TimeLeft


def test_nothing_is_known_before_anything_has_ended() -> None:
    left = TimeLeft(4, 1, 0.0)
    assert left.seconds(0.0) is None
    left.started(1, "a", 0.0)
    assert left.seconds(5.0) is None


def test_one_after_the_other_takes_as_long_as_those_before() -> None:
    left = TimeLeft(4, 1, 0.0)
    left.started(1, "a", 0.0)
    left.ended(1, 10.0)
    assert left.seconds(10.0) == pytest.approx(30.0)
    left.started(2, "b", 10.0)
    assert left.seconds(14.0) == pytest.approx(26.0)


def test_a_configuration_is_expected_to_take_as_long_as_its_earlier_cycles() -> None:
    left = TimeLeft(4, 2, 0.0)
    for number, key, start, end in ((1, "fast", 0.0, 1.0), (2, "slow", 1.0, 10.0)):
        left.started(number, key, start)
        left.ended(number, end)
    assert left.seconds(10.0) == pytest.approx(10.0)
    left.started(3, "fast", 10.0)
    left.ended(3, 11.0)
    assert left.seconds(11.0) == pytest.approx(9.0)


def test_pauses_count_as_they_were_so_far() -> None:
    left = TimeLeft(3, 1, 0.0)
    left.started(1, "a", 0.0)
    left.ended(1, 10.0)
    left.started(2, "b", 20.0)
    left.ended(2, 30.0)
    # 20 of 30 seconds went into experiments.
    assert left.seconds(30.0) == pytest.approx(15.0)


def test_side_by_side_takes_a_share_of_the_time() -> None:
    left = TimeLeft(6, 1, 0.0)
    for number in (1, 2):
        left.started(number, str(number), 0.0)
    assert left.running == 2
    for number in (1, 2):
        left.ended(number, 10.0)
    assert left.seconds(10.0) == pytest.approx(20.0)


def test_what_is_not_needed_takes_no_time() -> None:
    left = TimeLeft(4, 4, 0.0)
    left.started(1, "a", 0.0)
    left.ended(1, 10.0)
    for _ in range(3):
        left.dropped("a")
    assert left.seconds(10.0) == 0.0


def test_a_study_that_is_over_has_nothing_left() -> None:
    left = TimeLeft(1, 1, 0.0)
    left.started(1, "a", 0.0)
    left.ended(1, 3.0)
    assert left.seconds(3.0) == 0.0
