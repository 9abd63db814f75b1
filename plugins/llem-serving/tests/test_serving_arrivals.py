"""Arrivals of a load: exact times, the same randomness for all that is compared, and bounds."""

from __future__ import annotations

from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llem.plugin_api import ConfigError, DatasetError, paths_in
from llem_serving.arrivals import MOST_ARRIVALS, draw, think_times
from llem_serving.arrivals.rates import StagedRate
from llem_serving.config import LoadConfig, Stage
from llem_serving.traces import read_trace

PROCESSES = ("constant", "poisson", "gamma")
RATES = st.floats(0.01, 5_000)
RANDOM = st.fixed_dictionaries(
    {"arrival": st.sampled_from(PROCESSES), "cv": st.floats(1e-12, 100), "seed": st.integers(0, 2**32 - 1)}
)


def load(**fields: Any) -> LoadConfig:
    return LoadConfig(**fields)


def staged(*stages: tuple[float, float, float | None], **fields: Any) -> LoadConfig:
    return load(stages=[Stage(duration_s=length, rate_rps=rate, to_rps=to) for length, rate, to in stages], **fields)


def times_s(config: LoadConfig, span_s: float, cycle: int = 1) -> list[float]:
    return [t / 1e9 for t in draw(config, cycle, span_s).t_ns.tolist()]


@given(RANDOM, RATES, st.floats(0, 3))
@settings(max_examples=60, deadline=None)
def test_arrivals_ascend_and_stay_below_the_span(fields: dict[str, Any], rate: float, span_s: float) -> None:
    found = draw(load(rate_rps=rate, **fields), 1, span_s)
    assert found.t_ns.dtype == np.int64
    assert np.all(np.diff(found.t_ns) >= 0)
    assert np.all((found.t_ns >= 0) & (found.t_ns < span_s * 1e9))
    assert found.process == fields["arrival"]
    assert found.rate_rps == rate


@given(RANDOM, RATES, st.floats(0.01, 3), st.floats(0, 3))
@settings(max_examples=60, deadline=None)
def test_a_longer_span_only_appends(fields: dict[str, Any], rate: float, span_s: float, more_s: float) -> None:
    config = load(rate_rps=rate, **fields)
    short, long = draw(config, 1, span_s).t_ns, draw(config, 1, span_s + more_s).t_ns
    assert np.array_equal(long[: len(short)], short)
    assert np.all(long[len(short) :] >= int(span_s * 1e9))


@given(RANDOM, RATES)
@settings(max_examples=60, deadline=None)
def test_twice_the_rate_halves_the_same_times(fields: dict[str, Any], rate: float) -> None:
    slow, fast = draw(load(rate_rps=rate, **fields), 1, 4), draw(load(rate_rps=2 * rate, **fields), 1, 2)
    size = min(len(slow.t_ns), len(fast.t_ns))
    assert abs(len(slow.t_ns) - len(fast.t_ns)) <= 1  # one that rounds to the span itself
    assert np.all(np.abs(slow.t_ns[:size] / 2 - fast.t_ns[:size]) <= 1)


@pytest.mark.parametrize("process", ["poisson", "gamma"])
def test_each_cycle_and_each_seed_draws_its_own(process: str) -> None:
    def first(seed: int, cycle: int) -> int:
        return int(draw(load(arrival=process, cv=2.0, rate_rps=10.0, seed=seed), cycle, 100).t_ns[5])

    assert first(3, 1) == first(3, 1)
    assert len({first(seed, cycle) for seed in range(5) for cycle in range(1, 6)}) == 25


def test_what_is_no_part_of_the_process_changes_no_time() -> None:
    plain = load(rate_rps=20.0, seed=5)
    other = load(rate_rps=20.0, seed=5, ramp_s=1.0, duration_s=7.0, max_in_flight=3, think_s=2.0, parts=9, drain_s=0.0)
    assert times_s(plain, 30) == times_s(other, 30)


def test_constant_arrivals_are_evenly_spaced_after_one_gap() -> None:
    assert times_s(load(arrival="constant", rate_rps=4.0), 1.2) == [0.25, 0.5, 0.75, 1.0]


def test_an_arrival_that_rounds_to_the_end_of_the_span_is_not_in_it() -> None:
    config = load(arrival="constant", rate_rps=1 / (1 - 3e-10))
    assert draw(config, 1, 1).t_ns.tolist() == []
    assert draw(config, 1, 1.5).t_ns.tolist() == [1_000_000_000]


@given(RATES)
@settings(max_examples=40, deadline=None)
def test_constant_arrivals_gather_no_rounding_error(rate: float) -> None:
    t_ns = draw(load(arrival="constant", rate_rps=rate), 1, 20_000 / rate).t_ns
    exact = [round(k * 1e9 / rate) for k in range(1, len(t_ns) + 1)]
    assert len(t_ns) in (19_999, 20_000)
    assert np.all(np.abs(t_ns - np.array(exact)) <= 1)


def test_more_than_one_block_goes_on_where_the_last_ended() -> None:
    for process in PROCESSES:
        gaps = np.diff(draw(load(arrival=process, rate_rps=100_000.0, cv=0.5), 1, 2).t_ns)
        assert len(gaps) == pytest.approx(200_000, rel=0.01)
        assert gaps.max() < 1e6
        assert np.array_equal(gaps[:60_000], gaps[65_535:125_535]) == (process == "constant"), "no block comes again"


def test_gamma_with_a_coefficient_of_one_is_poisson() -> None:
    gamma = draw(load(arrival="gamma", cv=1.0, rate_rps=50.0, seed=2), 3, 60)
    assert np.array_equal(gamma.t_ns, draw(load(arrival="poisson", rate_rps=50.0, seed=2), 3, 60).t_ns)


def test_gamma_that_hardly_varies_is_nearly_constant() -> None:
    t_ns = draw(load(arrival="gamma", cv=1e-300, rate_rps=10.0), 1, 10.05).t_ns
    assert t_ns == pytest.approx(np.arange(1, 101) * 1e8, abs=100)


def test_steps_of_constant_arrivals() -> None:
    found = times_s(staged((2, 1, None), (1, 4, None), arrival="constant"), 10)
    assert found == pytest.approx([1, 2, 2.25, 2.5, 2.75, 3])


def test_a_ramp_of_constant_arrivals_is_the_inverse_of_its_cumulative_rate() -> None:
    up = times_s(
        staged(
            (
                4,
                0,
                8,
            ),
            arrival="constant",
        ),
        10,
    )
    assert up == pytest.approx([np.sqrt(k) for k in range(1, 17)])
    down = times_s(staged((4, 8, 0), arrival="constant"), 10)
    assert down == pytest.approx([4 - np.sqrt(16 - k) for k in range(1, 17)], abs=1e-6)


def test_nothing_arrives_in_a_silent_stage_nor_after_the_last() -> None:
    config = staged((1, 10, None), (5, 0, None), (1, 10, None))
    found = np.concatenate([draw(config, cycle, 100).t_ns / 1e9 for cycle in range(1, 40)])
    assert np.all((found < 1) | ((found > 6) & (found <= 7)))
    assert np.count_nonzero(found > 6) > 200


def test_an_arrival_that_is_due_at_the_very_end_of_a_stage_does_not_wait_for_the_next() -> None:
    # 0.29 × 100 is 28.999999999999996 in floats.
    found = times_s(staged((100, 0.29, None), (50, 0, None), (10, 1, None), arrival="constant"), 1_000)
    assert found[28] == pytest.approx(100)
    assert found[29:] == pytest.approx(range(151, 161))
    assert len(times_s(staged((100, 0.29, None), arrival="constant"), 1_000)) == 29


@given(st.floats(0.01, 1e5), st.floats(0.01, 86_400), st.floats(0, 1e5))
def test_the_last_arrival_of_a_stage_is_not_after_it(rate: float, length: float, to: float) -> None:
    found = StagedRate(
        [Stage(duration_s=length, rate_rps=rate, to_rps=to), Stage(duration_s=1, rate_rps=1, to_rps=None)]
    )
    total = length * (rate + to) / 2
    # The end of a ramp to a low rate is where an error of one bit in the count is the longest time.
    assert found.times_s(np.array([total * (1 + 5e-13)]))[0] <= length
    assert found.times_s(np.array([total]))[0] == pytest.approx(length, rel=1e-5)


@pytest.mark.parametrize("process", PROCESSES)
def test_stages_of_one_rate_are_that_rate(process: str) -> None:
    one = times_s(load(arrival=process, cv=3.0, rate_rps=7.0), 30)
    many = times_s(staged((10, 7, None), (5, 7, 7), (15, 7, None), arrival=process, cv=3.0), 30)
    assert many == pytest.approx(one, abs=1e-8)


stages_drawn = st.lists(
    st.tuples(st.floats(0.01, 50), st.floats(0, 50), st.one_of(st.none(), st.floats(0, 50))), min_size=1, max_size=6
)


@given(stages_drawn, RANDOM)
@settings(max_examples=80, deadline=None)
def test_stages_scale_the_unit_rate_process(
    stages: list[tuple[float, float, float | None]], fields: dict[str, Any]
) -> None:
    """By time change: the k-th arrival comes when the cumulative rate, integrated here by its own trapezoids, reaches it."""
    length = sum(duration for duration, _, _ in stages)
    found = np.array(times_s(staged(*stages, **fields), length + 10))
    edges = np.cumsum([0, *(duration for duration, _, _ in stages)])
    reached = np.zeros_like(found)
    for begin, (duration, rate, to) in zip(edges, stages, strict=False):
        into = np.clip(found - begin, 0, duration)
        at = rate + ((rate if to is None else to) - rate) * into / duration
        reached += into * (rate + at) / 2
    total = sum(duration * (rate + (rate if to is None else to)) / 2 for duration, rate, to in stages)
    # Times are whole nanoseconds, so that which arrivals come just before the end cannot be told from the unit process.
    unit = np.array(times_s(load(rate_rps=1.0, **fields), total + 1e-5))
    assert np.count_nonzero(unit < total - 1e-5) <= len(found) <= len(unit)
    assert reached == pytest.approx(unit[: len(found)], abs=1e-5)


def test_the_mean_rate_of_stages_is_over_the_whole_span() -> None:
    config = staged((10, 2, None), (10, 0, 4))
    assert draw(config, 1, 20).rate_rps == pytest.approx(2)
    assert draw(config, 1, 40).rate_rps == pytest.approx(1)
    assert draw(config, 1, 15).rate_rps == pytest.approx(25 / 15)


def test_a_load_that_is_too_large_to_hold_is_refused_before_it_is_drawn() -> None:
    with pytest.raises(ConfigError, match=r"100,000 requests/s over 501 s are about 50,100,000 arrivals") as told:
        draw(load(rate_rps=100_000.0), 1, 501)
    assert f"{MOST_ARRIVALS:,}" in str(told.value)
    with pytest.raises(ConfigError, match="over 86,400 s"):
        draw(staged((86_400, 0, 2_000)), 1, 86_400)


def test_users_have_no_arrivals_of_their_own() -> None:
    with pytest.raises(ConfigError, match=r"load\.concurrency"):
        draw(load(concurrency=4), 1, 10)


@pytest.mark.parametrize("span_s", [-1.0, float("nan"), float("inf")])
def test_a_span_is_a_length(span_s: float) -> None:
    with pytest.raises(ValueError, match="no span"):
        draw(load(rate_rps=1.0), 1, span_s)


@pytest.fixture
def trace_file(tmp_path: Path) -> Path:
    lines = [f'{{"timestamp": {ms}, "input_length": 3, "output_length": 2}}' for ms in (1_000, 1_500, 1_500, 4_000)]
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    return tmp_path / "t.jsonl"


def test_a_trace_arrives_as_recorded_from_its_first_row(trace_file: Path) -> None:
    found = draw(load(arrival="trace", trace="t.jsonl"), 1, 10, base_dir=trace_file.parent)
    assert found.t_ns.tolist() == [0, 500_000_000, 500_000_000, 3_000_000_000]
    assert (found.process, found.rate_rps) == ("trace", 0.4)


def test_a_trace_can_be_scaled_in_time_and_is_cut_at_the_span(trace_file: Path) -> None:
    config = load(arrival="trace", trace="t.jsonl", time_scale=0.5)
    assert draw(config, 2, 1.5, trace=read_trace(trace_file)).t_ns.tolist() == [0, 250_000_000, 250_000_000]


def test_a_trace_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be read"):
        draw(load(arrival="trace", trace="gone.csv"), 1, 10, base_dir=tmp_path)


@pytest.mark.parametrize(
    ("named", "written"),
    [
        ("t.jsonl", "./t.jsonl"),
        ("traces/t.csv", "./traces/t.csv"),
        ("./t.jsonl", "./t.jsonl"),
        ("../t.jsonl", "../t.jsonl"),
        ("/data/t.csv", "/data/t.csv"),
        ("~/t.csv", "~/t.csv"),
    ],
)
def test_a_trace_is_known_as_a_file_by_how_it_is_written(named: str, written: str) -> None:
    """Runners bring such files along, or look for them where the load will be."""
    config = load(arrival="trace", trace=named)
    assert list(paths_in(config.model_dump(mode="json"))) == [written]


def test_a_trace_that_nobody_names_is_told() -> None:
    with pytest.raises(ConfigError, match="no file"):
        draw(load(arrival="trace"), 1, 10)


def starts(config: LoadConfig, cycle: int = 1) -> list[float]:
    assert config.concurrency is not None
    return [next(think_times(config, cycle, user)) for user in range(config.concurrency)]


@pytest.mark.parametrize(("think_s", "ramp_s"), [(0.0, 10.0), (10.0, 0.0), (2.0, 10.0), (10.0, 2.0)])
def test_users_start_spread_over_ramp_or_thinking_and_think_alike_afterwards(think_s: float, ramp_s: float) -> None:
    config = load(concurrency=20, think_s=think_s, ramp_s=ramp_s)
    found = starts(config)
    assert all(user * 0.5 <= start <= (user + 1) * 0.5 for user, start in enumerate(found))
    gaps = [b - a for a, b in pairwise(found)]
    assert max(gaps) > min(gaps) + 0.1, "random within each user's share"
    assert list(islice(think_times(config, 1, 3), 1, 5)) == [think_s] * 4


def test_starts_of_users_are_seeded_and_differ_between_cycles() -> None:
    config = load(concurrency=3, ramp_s=9.0, seed=4)
    assert starts(config) == starts(config)
    assert starts(config, 1) != starts(config, 2)
    assert starts(config) != starts(load(concurrency=3, ramp_s=9.0, seed=5))
    assert starts(load(concurrency=3, ramp_s=0.0)) == [0, 0, 0]


@pytest.mark.parametrize("user", [-1, 2])
def test_only_users_that_there_are_think(user: int) -> None:
    with pytest.raises(ValueError, match="no user"):
        think_times(load(concurrency=2), 1, user)
