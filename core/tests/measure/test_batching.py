"""Fill of batches, from what was sent, what the engine counted, or its requests' own times."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem.measure.batching import batching, batching_caveats, running_mean
from llem.specs.backend import Request, RequestRecord
from llem.specs.scenario import Answer


def sent(*sizes: int, passes: int = 1) -> list[Answer]:
    return [
        Answer(number, batch, 0, 100, [Request(i, 1, "x") for i in range(size)], [])
        for number in range(1, passes + 1)
        for batch, size in enumerate(sizes, 1)
    ]


def scheduled(*spans: tuple[int, int], took: int = 100) -> list[Answer]:
    records = [RequestRecord(i, 1, 1, start, end, "length") for i, (start, end) in enumerate(spans)]
    return [Answer(1, 1, 0, took, [Request(i, 1, "x") for i in range(len(spans))], records)]


def codes(answers: Sequence[Answer], asked: int | None, **metrics: float) -> list[str]:
    passes = answers[-1].pass_number
    per_pass = sum(len(answer.requests) for answer in answers) // passes
    return [caveat.code for caveat in batching_caveats(batching(answers, asked, metrics), passes, per_pass)]


def test_a_last_batch_that_is_not_full_lowers_the_mean_and_is_told() -> None:
    found = batching(sent(64, 36, passes=3), 64, {})
    assert (found.requested_size, found.mean_size, found.source, found.batches) == (64, 50.0, "batches", 6)
    assert found.fill_share == pytest.approx(50 / 64)
    (caveat,) = batching_caveats(found, 3, 100)
    assert caveat.code == "batch_fill"
    assert "50 requests ran together on average where the study asks for 64, 78% of it" in caveat.message
    assert "2 batches of a pass hold 100 requests" in caveat.message


def test_batches_that_are_full_enough_need_no_word() -> None:
    assert codes(sent(50, 50), 50) == []
    assert codes(sent(10, 10, 10, 10, 10, 10, 10, 10, 10, 1), 10) == []  # 91 %
    assert codes(sent(10, 10, 10, 7), 10) == []  # 92 %
    assert codes(sent(10, 5), 10) == ["batch_fill"]


def test_a_size_that_the_workload_cannot_fill_is_the_workloads() -> None:
    found = batching(sent(8), 64, {})
    assert (found.requested_size, found.mean_size, found.fill_share) == (8, 8.0, 1.0)


def test_one_request_at_a_time_is_always_full() -> None:
    found = batching(sent(1, 1, 1), 1, {"running_mean": 0.4})
    assert (found.requested_size, found.mean_size, found.fill_share) == (1, 1.0, 1.0)


def test_an_engine_that_schedules_by_itself_tells_how_many_ran() -> None:
    found = batching(sent(100), 64, {"running_mean": 50.0})
    assert (found.requested_size, found.mean_size, found.source) == (64, 50.0, "engine")
    (caveat,) = batching_caveats(found, 1, 100)
    assert "ramps up and drains" in caveat.message
    assert codes(sent(100), 64, running_mean=60.0) == []


@pytest.mark.parametrize("counted", [0.0, -1.0])
def test_a_count_of_nothing_is_that_of_an_engine_that_did_not_count(counted: float) -> None:
    found = batching(scheduled((0, 40), (0, 40), (40, 100)), 2, {"running_mean": counted})
    assert (found.mean_size, found.source) == (pytest.approx(1.4), "requests")


def test_without_its_count_the_requests_own_times_tell_it() -> None:
    # Two at a time: 0-40 and 0-40, then one more from 40 to 100.
    found = batching(scheduled((0, 40), (0, 40), (40, 100)), 2, {})
    assert (found.mean_size, found.source) == (pytest.approx(1.4), "requests")


def test_starts_of_a_queue_tell_nothing() -> None:
    waiting = scheduled((0, 40), (0, 40), (0, 100))
    assert running_mean(waiting, 2) is None
    found = batching(waiting, 2, {})
    assert (found.mean_size, found.fill_share, found.source) == (None, None, None)
    assert batching_caveats(found, 1, 3) == []


def test_a_backend_without_a_batch_size_has_a_mean_and_no_fill() -> None:
    found = batching(sent(7, 3), None, {})
    assert (found.requested_size, found.mean_size, found.fill_share) == (None, 5.0, None)


@given(st.integers(1, 200), st.integers(1, 64))
def test_the_fill_is_a_share_and_full_where_the_size_divides_the_prompts(n: int, size: int) -> None:
    sizes = [size] * (n // size) + ([n % size] if n % size else [])
    found = batching(sent(*sizes), size, {})
    assert found.fill_share is not None
    assert 0 < found.fill_share <= 1
    assert (found.fill_share == 1) == (n % size == 0 or n <= size)
