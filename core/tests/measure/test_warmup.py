"""The batches that warm-up runs, and its end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem.config.experiment import WarmupConfig
from llem.config.identity import section_text
from llem.measure.warmup import Judge, coefficient_of_variation, trend
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
        enabled=True, converged=True, prompts=10, batches=5, cv=0.0, trend=0.0, power_cv=None, duration_s=2.0
    )


def test_the_batches_that_hold_the_first_min_prompts_run_once_each_before() -> None:
    judge = Judge(WarmupConfig(min_prompts=5, batches=2), batches(10, 2))
    assert drive(judge, [1.0]) == [2, 4, 0, 0, 0], "the first run of the compared batch is cold"


def test_a_batch_that_ran_before_the_compared_ones_does_not_count_for_steadiness() -> None:
    judge = Judge(WarmupConfig(min_prompts=4, batches=2), batches(2, 2))
    assert drive(judge, [9.0, 5.0, 1.0, 1.0]) == [2, 0, 0, 0]
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
    judge = Judge(WarmupConfig(max_prompts=100, batches=3), batches(2, 32))
    assert drive(judge, [1.0]) == [0, 0, 0]
    assert judge.report(1.0).converged is False
    assert judge.report(1.0).stopped_by == "max_prompts"
    assert "2 of the 3 runs that are compared are there" in judge.complaint()
    assert "max_prompts of 100" in judge.complaint()


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
    for power in (50.0, 50.0, None):
        batch = judge.next()
        assert batch is not None
        judge.ran(1.0, records(list(batch)), power)
    assert judge.power_cv is None
    assert judge.converged
    assert "power" not in judge.state()


def test_what_is_told_of_a_warm_up_that_never_gets_steady_names_latency_and_power() -> None:
    judge = Judge(WarmupConfig(min_prompts=1, max_prompts=3, batches=2), batches(1, 1))
    drive(judge, [1.0, 1.0, 2.0], [100.0, 100.0, 150.0])
    assert judge.complaint() == (
        "warm-up ended after 3 prompts in 4 s without being steady (warmup.max_prompts of 3): over the last 2 runs latency "
        "per step has a spread of 47.1% and a trend of +133.3%, power a spread of 28.3% and a trend of +80.0%, where each has "
        "to be below 5%."
    )


def test_latency_is_taken_per_step_so_that_natural_lengths_compare() -> None:
    judge = Judge(WarmupConfig(min_prompts=1, batches=2), batches(1, 1))
    for seconds, tokens in ((9.0, 10), (1.0, 10), (2.0, 20)):
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
    max_s=st.sampled_from([5.0, 50.0, 5000.0]),
)
def test_it_always_ends_within_its_limits(
    size: int, count: int, minimum: int, extra: int, k: int, seconds: list[float], max_s: float
) -> None:
    config = WarmupConfig(min_prompts=minimum, max_prompts=minimum + extra, batches=k, max_s=max_s)
    judge = Judge(config, batches(count, size))
    ran = drive(judge, seconds)
    report = judge.report(1.0)
    assert report.prompts == len(ran) * size <= max(minimum + extra, size)
    assert report.converged == judge.converged
    if report.converged:
        assert report.prompts >= minimum
        assert ran.count(0) >= k + 1
        assert report.stopped_by is None
    elif report.stopped_by == "max_s":
        assert sum(took(seconds, len(ran))[1:]) >= max_s
    else:
        assert report.prompts + size > minimum + extra
    # No batch starts once the time is up; what the first one takes is not counted.
    assert sum(took(seconds, len(ran) - 1)[1:]) < max_s


def took(seconds: list[float], runs: int) -> list[float]:
    """Duration of so many runs, as `drive` tells."""
    return [seconds[min(i, len(seconds) - 1)] for i in range(runs)]


@pytest.mark.parametrize("runs", [[1.00, 1.04, 1.08], [1.08, 1.04, 1.00], [1.0, 1.02, 1.04]])
def test_runs_that_vary_little_but_go_one_way_are_not_steady(runs: list[float]) -> None:
    judge = Judge(WarmupConfig(min_prompts=1, max_prompts=4, batches=3), batches(1, 1))
    drive(judge, [9.0, *runs])
    assert judge.cv is not None
    assert judge.cv < 0.05, "variation alone would call them steady"
    assert judge.trend is not None
    assert abs(judge.trend) > 0.05
    assert judge.report(1.0).converged is False
    assert "trend" in judge.complaint()


def test_power_that_goes_one_way_is_not_steady_either() -> None:
    judge = Judge(WarmupConfig(min_prompts=1, max_prompts=4, batches=3), batches(1, 1))
    drive(judge, [1.0], [9.0, 300.0, 310.0, 320.0])
    assert judge.power_cv is not None
    assert judge.power_cv < 0.05
    assert not judge.converged


@given(
    level=st.floats(1e-6, 1e6),
    slope=st.floats(-0.1, 0.1),
    k=st.integers(2, 20),
    scale=st.floats(1e-3, 1e3),
)
def test_the_trend_of_a_line_is_its_slope_times_k_over_its_mean_in_any_unit(
    level: float, slope: float, k: int, scale: float
) -> None:
    line = [level * (1 + slope * (i - (k - 1) / 2)) for i in range(k)]
    assert trend(line) == pytest.approx(slope * k, rel=1e-6, abs=1e-9)
    assert trend([value * scale for value in line]) == pytest.approx(slope * k, rel=1e-6, abs=1e-9)
    assert trend(line[::-1]) == pytest.approx(-slope * k, rel=1e-6, abs=1e-9)
    assert trend([level] * k) == pytest.approx(0, abs=1e-9)


def test_a_trend_needs_two_values_above_zero() -> None:
    assert trend([1.0]) is None
    assert trend([0.0, 0.0]) is None


def test_the_first_cold_run_never_counts_however_alike() -> None:
    judge = Judge(WarmupConfig(min_prompts=1, batches=3), batches(1, 1))
    assert drive(judge, [1.0]) == [0] * 4


def test_every_size_of_batch_that_the_window_runs_has_run_before() -> None:
    workload = [*batches(3, 4), batches(1, 3)[0], batches(1, 1)[0], batches(1, 3)[0]]
    for number, batch in enumerate(workload):
        workload[number] = [Request(id=10 * number + i, output_tokens=4, prompt="x") for i in range(len(batch))]
    judge = Judge(WarmupConfig(min_prompts=1, batches=2), workload)
    assert drive(judge, [1.0]) == [30, 40, 0, 0, 0]
    assert judge.converged


def test_a_busy_machine_does_not_warm_up_without_end() -> None:
    judge = Judge(WarmupConfig(max_s=30), batches(4, 8))
    ran = drive(judge, [1.0, 9.0, 2.0, 8.0, 3.0, 7.0, 4.0])
    assert len(ran) == 7
    report = judge.report(34.0)
    assert (report.converged, report.stopped_by) == (False, "max_s")
    assert "max_s of 30" in judge.complaint()
    assert "34 s" in judge.complaint()


def test_a_first_batch_that_compiles_for_minutes_leaves_the_others_their_time() -> None:
    judge = Judge(WarmupConfig(min_prompts=1, max_s=30), batches(1, 1))
    assert len(drive(judge, [600.0, 1.0])) == 4
    assert judge.converged


def test_sizes_that_never_ran_for_want_of_time_are_named() -> None:
    workload = [batches(1, size)[0] for size in (4, 3, 2, 1)]
    judge = Judge(WarmupConfig(max_s=1, min_prompts=1), workload)
    assert len(drive(judge, [5.0])) == 2
    assert "Batches of 1 never ran" in judge.complaint()


def test_the_limit_in_time_has_a_default_and_changes_no_identity() -> None:
    assert WarmupConfig().max_s == 120
    assert section_text(WarmupConfig()) == "{}"
    assert section_text(WarmupConfig(max_s=60)) == '{"max_s":60}'
