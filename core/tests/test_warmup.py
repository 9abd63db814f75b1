"""Which batches warm-up runs, and when it stops."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem.config.experiment import WarmupConfig
from llem.measure.warmup import Judge, coefficient_of_variation
from llem.results.models import Warmup
from llem.specs.backend import Request, RequestRecord


def batches(count: int, size: int) -> list[list[Request]]:
    return [[Request(id=b * size + i, output_tokens=4, prompt="x") for i in range(size)] for b in range(count)]


def records(batch: list[Request], output_tokens: int = 4) -> list[RequestRecord]:
    return [RequestRecord(r.id, 1, output_tokens, 0, 1, "length") for r in batch]


def drive(judge: Judge, seconds: list[float], powers: list[float] | None = None) -> list[int]:
    """Run what the judge asks for, with these durations (the last one again and again); first ids of the batches that ran."""
    ran: list[int] = []
    while (batch := judge.next()) is not None:
        at = min(len(ran), len(seconds) - 1)
        power = powers[min(len(ran), len(powers) - 1)] if powers else None
        judge.ran(seconds[at], records(list(batch)), power)
        ran.append(batch[0].id)
    return ran


def test_it_repeats_the_first_batch_until_the_last_k_latencies_agree() -> None:
    judge = Judge(WarmupConfig(min_prompts=1, batches=3), batches(5, 2))
    assert drive(judge, [9.0, 5.0, 1.0]) == [0] * 5
    assert judge.report(2.0) == Warmup(
        enabled=True, converged=True, prompts=10, batches=5, cv=0.0, power_cv=None, duration_s=2.0
    )


def test_the_batches_that_hold_the_first_min_prompts_run_once_each_before() -> None:
    judge = Judge(WarmupConfig(min_prompts=5, batches=2), batches(10, 2))
    assert drive(judge, [1.0]) == [2, 4, 0, 0]


def test_a_batch_that_ran_before_the_compared_ones_does_not_count_for_steadiness() -> None:
    judge = Judge(WarmupConfig(min_prompts=4, batches=2), batches(2, 2))
    assert drive(judge, [100.0, 1.0, 1.0]) == [2, 0, 0]
    assert judge.converged


def test_it_gives_up_at_max_prompts_and_says_so() -> None:
    judge = Judge(WarmupConfig(min_prompts=1, max_prompts=12, batches=2), batches(3, 2))
    assert drive(judge, [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0]) == [0] * 6
    assert judge.report(1.0).converged is False
    assert "12 prompts" in judge.complaint()


def test_a_limit_that_is_not_given_leaves_room_for_twice_the_compared_runs() -> None:
    judge = Judge(WarmupConfig(batches=3), batches(1, 32))
    assert drive(judge, [9.0, 2.0, 1.0]) == [0] * 5
    assert judge.converged
    assert judge.limit == 192
    assert Judge(WarmupConfig(batches=3), batches(1, 2)).limit == 64
    assert drive(Judge(WarmupConfig(min_prompts=101), batches(2, 2)), [1.0]) == [2] + [0] * 50


def test_no_batch_exceeds_max_prompts_although_fewer_than_k_can_be_compared() -> None:
    judge = Judge(WarmupConfig(max_prompts=70, batches=3), batches(2, 32))
    assert drive(judge, [1.0]) == [0, 0]
    assert judge.report(1.0).converged is False
    assert "2 runs to compare, and needs 3" in judge.complaint()
    assert "max_prompts of 70" in judge.complaint()


def test_fewer_than_min_prompts_are_not_enough_however_steady() -> None:
    judge = Judge(WarmupConfig(min_prompts=5, max_prompts=5, batches=2), batches(1, 2))
    assert drive(judge, [1.0]) == [0, 0]
    assert judge.report(1.0).converged is False
    assert "5 prompts" in judge.complaint()


def test_one_batch_always_runs() -> None:
    judge = Judge(WarmupConfig(max_prompts=8), batches(2, 32))
    assert drive(judge, [1.0]) == [0]
    assert judge.report(1.0).converged is False


def test_power_that_still_rises_is_not_steady() -> None:
    config = WarmupConfig(min_prompts=1, max_prompts=4, batches=2)
    rising = Judge(config, batches(1, 1))
    drive(rising, [1.0], [100.0, 150.0, 200.0, 300.0])
    assert not rising.converged
    level = Judge(config, batches(1, 1))
    assert drive(level, [1.0], [100.0, 150.0, 200.0, 200.0]) == [0] * 4
    assert level.converged


def test_one_unknown_power_among_the_last_k_leaves_power_out() -> None:
    judge = Judge(WarmupConfig(min_prompts=1, batches=2), batches(1, 1))
    for power in (50.0, None):
        batch = judge.next()
        assert batch is not None
        judge.ran(1.0, records(list(batch)), power)
    assert judge.power_cv is None
    assert judge.converged


def test_latency_is_taken_per_step_so_that_natural_lengths_compare() -> None:
    judge = Judge(WarmupConfig(min_prompts=1, batches=2), batches(1, 1))
    for seconds, tokens in ((1.0, 10), (2.0, 20)):
        batch = judge.next()
        assert batch is not None
        judge.ran(seconds, records(list(batch), tokens), None)
    assert judge.cv == pytest.approx(0.0)


def test_switched_off_it_runs_nothing_and_says_so() -> None:
    judge = Judge(WarmupConfig(enabled=False), batches(3, 2))
    assert drive(judge, [1.0]) == []
    assert judge.report(0.0) == Warmup(enabled=False)


def test_variation_is_the_sample_deviation_over_the_mean() -> None:
    assert coefficient_of_variation([1.0, 3.0]) == pytest.approx(2**0.5 / 2)
    assert coefficient_of_variation([1.0]) is None
    assert coefficient_of_variation([0.0, 0.0]) is None


@given(
    size=st.integers(1, 40),
    count=st.integers(1, 6),
    minimum=st.integers(1, 60),
    extra=st.integers(0, 60),
    k=st.integers(2, 5),
    seconds=st.lists(st.floats(0.01, 10.0), min_size=1, max_size=30),
)
def test_it_always_ends_within_its_limits(
    size: int, count: int, minimum: int, extra: int, k: int, seconds: list[float]
) -> None:
    config = WarmupConfig(min_prompts=minimum, max_prompts=minimum + extra, batches=k)
    judge = Judge(config, batches(count, size))
    ran = drive(judge, seconds)
    report = judge.report(1.0)
    assert report.prompts == len(ran) * size <= max(minimum + extra, size)
    assert report.converged == judge.converged
    if report.converged:
        assert report.prompts >= minimum
        assert ran.count(0) >= k
    else:
        assert report.prompts + size > minimum + extra
