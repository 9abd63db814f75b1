"""In which order experiments run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem.config.study import ExecutionConfig, Order
from llem.plan.schedule import RunOrder, gap_s, gaps_s

ORDERS: list[Order] = ["sequential", "interleaved", "shuffled", "reversed", "latin_square"]


def rows(count: int, cycles: int, order: Order, seed: int = 42) -> list[list[int]]:
    """Numbers of the experiments in order, by cycle."""
    schedule = RunOrder(count, cycles, order, seed)
    places = [schedule[i] for i in range(len(schedule))]
    return [[number for cycle, number in places if cycle == c] for c in range(cycles)]


@given(count=st.integers(1, 30), cycles=st.integers(1, 6), order=st.sampled_from(ORDERS), seed=st.integers(0, 9))
def test_every_experiment_runs_once_in_every_cycle(count: int, cycles: int, order: Order, seed: int) -> None:
    assert [sorted(row) for row in rows(count, cycles, order, seed)] == [list(range(count))] * cycles


def test_sequential_runs_all_cycles_of_an_experiment_then_the_next() -> None:
    schedule = RunOrder(2, 3, "sequential", 0)
    assert [schedule[i] for i in range(6)] == [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1)]


def test_interleaved_runs_every_experiment_once_then_again() -> None:
    assert rows(3, 2, "interleaved") == [[0, 1, 2], [0, 1, 2]]


def test_reversed_runs_every_second_cycle_backwards() -> None:
    assert rows(3, 3, "reversed") == [[0, 1, 2], [2, 1, 0], [0, 1, 2]]


@given(count=st.integers(1, 20))
def test_a_whole_latin_square_has_each_experiment_once_in_each_place(count: int) -> None:
    square = rows(count, count, "latin_square")
    assert all(sorted(column) == list(range(count)) for column in zip(*square, strict=True))


@given(count=st.integers(2, 40), cycles=st.integers(1, 10))
def test_cycles_of_a_latin_square_begin_at_different_experiments(count: int, cycles: int) -> None:
    begins = [row[0] for row in rows(count, min(cycles, count), "latin_square")]
    assert len(set(begins)) == len(begins)


def test_shuffled_follows_its_seed_and_differs_between_cycles_and_seeds() -> None:
    once = rows(20, 3, "shuffled", seed=7)
    assert once == rows(20, 3, "shuffled", seed=7)
    assert once != rows(20, 3, "shuffled", seed=8)
    assert once[0] != once[1] != once[2]


def test_a_place_outside_is_an_index_error() -> None:
    for place in (-1, 6):
        with pytest.raises(IndexError):
            RunOrder(2, 3, "shuffled", 0)[place]


@given(
    count=st.integers(1, 12),
    order=st.sampled_from(ORDERS),
    cycles=st.integers(1, 5),
    gap=st.floats(0, 100),
    cycle_gap=st.floats(0, 100),
)
def test_the_sum_of_gaps_is_what_the_single_ones_add_up_to(
    count: int, order: Order, cycles: int, gap: float, cycle_gap: float
) -> None:
    execution = ExecutionConfig(cycles=cycles, order=order, experiment_gap_s=gap, cycle_gap_s=cycle_gap)
    schedule = RunOrder(count, cycles, order, 0)
    single = sum(gap_s(execution, schedule[i - 1][0], schedule[i][0]) for i in range(1, len(schedule)))
    assert gaps_s(execution, count) == pytest.approx(single)


def test_sequential_repetitions_are_parted_by_the_gap_between_experiments() -> None:
    execution = ExecutionConfig(cycles=2, order="sequential", experiment_gap_s=1, cycle_gap_s=9)
    assert gap_s(execution, 1, 2) == 1
    assert gap_s(execution.model_copy(update={"order": "interleaved"}), 1, 2) == 9
