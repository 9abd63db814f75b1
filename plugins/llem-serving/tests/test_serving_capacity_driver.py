"""The search of a configuration as it drives runs: what it asks for, what it makes of their files, and what it says."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem.plugin_api import (
    REQUESTS,
    TIMESERIES,
    DeviceEnergy,
    EnergyBreakdown,
    EnergyFigure,
    ExperimentResult,
    ResultWarning,
    SearchConfig,
)
from llem.results.models import Failure
from llem_serving.capacity.configuration_search import MOST_FAILURES, ConfigurationSearch
from llem_serving.capacity.part_energy import part_energy
from llem_serving.capacity.run_figures import run_figures
from llem_serving.capacity.run_length import LEAST, requests_wanted, run_length
from llem_serving.capacity.wording import answer_sentences, plan_sentences
from llem_serving.config import LoadConfig, SloConfig
from llem_serving.rate_unit import OF_CONVERSATIONS, OF_REQUESTS

SERVICE_S = 0.01
IDLE_W, BUSY_W = 100.0, 150.0
FAILED = Failure(type="Crash", message="gone", phase="window", exit_code=1, signal=None, log_tail="")
Serve = Callable[..., ExperimentResult]


def kept_in_queue(rate_rps: float, wait_s: float) -> float:
    """P(wait <= wait_s) of a queue with Poisson arrivals and one server of constant service time (Erlang, 1909)."""
    load, share = rate_rps * SERVICE_S, wait_s / SERVICE_S
    terms = (
        (load * (k - share)) ** k / math.factorial(k) * math.exp(-load * (k - share))
        for k in range(int(share + 1e-9) + 1)
    )
    return (1 - load) * sum(terms)


def capacity_of_queue(attainment: float, wait_s: float) -> float:
    """The rate at which so large a share waits no longer."""
    low, high = 1.0, 0.999 / SERVICE_S
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if kept_in_queue(middle, wait_s) >= attainment else (low, middle)
    return low


@pytest.fixture
def serve(tmp_path: Path, make_result: Callable[..., ExperimentResult]) -> Serve:
    """Serves Poisson arrivals by one server of constant service time, in virtual time, and writes what a run leaves."""

    def run(
        load: LoadConfig,
        rate_rps: float,
        seed: int,
        *,
        window_s: float | None = None,
        turns: int = 1,
        **changes: Any,
    ) -> ExperimentResult:
        length_s = load.duration_s if window_s is None else window_s
        random = np.random.default_rng(seed)
        ramp_s = 2.0 if turns == 1 else 40.0
        arrivals = (
            np.cumsum(random.exponential(1 / rate_rps, round(rate_rps * (length_s + ramp_s) * 1.5 + 50))) - ramp_s
        )
        if turns > 1:  # each conversation asks again and again after a while
            later = random.exponential(5.0, (len(arrivals), turns - 1)).cumsum(axis=1)
            last = arrivals[-1]
            arrivals = np.sort(np.concatenate([arrivals, (arrivals[:, None] + later).ravel()]))
            arrivals = arrivals[arrivals < last]
        free, ends, busy = -ramp_s, [], []
        for arrival in arrivals.tolist():
            start = max(free, arrival)
            free = start + SERVICE_S
            ends.append(free)
            busy.append(start)
        there = arrivals < length_s
        columns = {
            "arrival_s": arrivals[there].tolist(),
            "sent_s": arrivals[there].tolist(),
            "first_token_s": [start + SERVICE_S / 2 for start in busy][: int(there.sum())],
            "end_s": ends[: int(there.sum())],
            "output_tokens": [2] * int(there.sum()),
            "finish": ["length"] * int(there.sum()),
        }
        pq.write_table(pa.table(columns), tmp_path / REQUESTS)
        edges = np.linspace(-ramp_s, length_s + 1, 500)
        starts = np.array(busy)
        turns_of_service = np.column_stack([starts, starts + SERVICE_S]).ravel()
        served_s = np.interp(edges, turns_of_service, SERVICE_S * np.repeat(np.arange(len(starts) + 1), 2)[1:-1])
        joules = IDLE_W * (edges + ramp_s) + (BUSY_W - IDLE_W) * served_s
        write_readings(tmp_path, {"cpu-0": (edges, joules, None)})
        energy_j = float(np.interp(length_s, edges, joules) - np.interp(0, edges, joules))
        saturated = free > arrivals[-1] + 1.0
        result = make_result(warnings={"saturated": "more and more"} if saturated else None)
        return result.model_copy(
            update={
                "energy": energy(length_s, {"cpu-0": energy_j}),
                "scenario_metrics": {
                    "steady": 0.0 if saturated else 1.0,
                    "turns_per_conversation": None if turns == 1 else float(turns),
                },
                **changes,
            }
        )

    return run


def energy(window_s: float, joules: dict[str, float], sampler: str = "loadbed") -> EnergyBreakdown:
    whole = sum(joules.values())
    headline = EnergyFigure(
        scope="cpu", method="counter", samplers=[sampler], devices=list(joules), energy_j=whole, mean_w=whole / window_s
    )
    devices = [
        DeviceEnergy(
            device=one, name=one, scope="cpu", sampler=sampler, method="counter", energy_j=j, mean_w=j / window_s
        )
        for one, j in joules.items()
    ]
    return EnergyBreakdown(window_s=window_s, headline=headline, totals=[headline], devices=devices)


def write_readings(folder: Path, devices: dict[str, tuple[Any, Any, Any]], sampler: str = "loadbed") -> None:
    """Times, joules and watts of each device; None for what it does not tell."""
    rows = [
        {"t_s": float(t), "device": device, "sampler": sampler, "energy_j": j, "power_w": w}
        for device, (times, joules, watts) in devices.items()
        for t, j, w in zip(
            times,
            [None] * len(times) if joules is None else joules,
            [None] * len(times) if watts is None else watts,
            strict=True,
        )
    ]
    schema = pa.schema(
        [
            ("t_s", pa.float64()),
            ("device", pa.string()),
            ("sampler", pa.string()),
            ("energy_j", pa.float64()),
            ("power_w", pa.float64()),
        ]
    )
    pq.write_table(pa.Table.from_pylist(rows, schema), folder / TIMESERIES)


SLO = SloConfig(e2e_s=3 * SERVICE_S, attainment=0.9)
CAPACITY_RPS = capacity_of_queue(0.9, 2 * SERVICE_S)


def searched(
    serve: Serve, folder: Path, search: ConfigurationSearch, load: LoadConfig, seed: int, most: int = 10
) -> list[float]:
    asked: list[float] = []
    while len(asked) < most and (rate := search.next()) is not None:
        search.ended(rate, serve(load, rate, seed * 100 + len(asked)), folder)
        asked.append(rate)
    return asked


def test_the_closed_form_is_that_of_the_queue(serve: Serve, tmp_path: Path) -> None:
    load = LoadConfig(rate_rps=CAPACITY_RPS, duration_s=300.0)
    found = run_figures(load, SLO, serve(load, CAPACITY_RPS, 1), tmp_path)
    kept, requests = (sum(column) for column in zip(*found.parts, strict=True))
    assert kept / requests == pytest.approx(0.9, abs=0.02)


def test_energy_is_over_the_tokens_of_requests_that_keep_the_objectives(serve: Serve, tmp_path: Path) -> None:
    load = LoadConfig(rate_rps=CAPACITY_RPS, duration_s=300.0)
    result = serve(load, CAPACITY_RPS, 1)
    found, everything = (run_figures(load, slo, result, tmp_path) for slo in (SLO, SloConfig()))
    good, tokens = (sum(count for _, count in one.energy) for one in (found, everything))
    assert good / tokens == pytest.approx(0.9, abs=0.02)
    assert result.energy is not None
    assert result.energy.headline is not None
    assert found.j_per_good_token == pytest.approx(result.energy.headline.energy_j / good)


def test_of_conversations_what_was_completed_is_conversations_too(serve: Serve, tmp_path: Path) -> None:
    load = LoadConfig(rate_rps=10.0, duration_s=120.0)
    alone = run_figures(load, SLO, serve(load, 10.0, 1), tmp_path)
    assert alone.completed_rps == pytest.approx(10.0, rel=0.1)
    assert alone.drawn_window_s == 120.0
    # Three turns each: thirty requests a second are ten conversations.
    turns = run_figures(load, SLO, serve(load, 10.0, 1, turns=3), tmp_path)
    assert turns.completed_rps == pytest.approx(10.0, rel=0.1)
    assert sum(requests for _, requests in turns.parts) == pytest.approx(3_600, rel=0.1)
    assert turns.drawn_window_s is None


@pytest.mark.parametrize("start_rps", [10.0, 58.0, 300.0])
def test_it_finds_the_capacity_of_a_queue_that_is_known(serve: Serve, tmp_path: Path, start_rps: float) -> None:
    load = LoadConfig(rate_rps=start_rps, duration_s=60.0)
    search = ConfigurationSearch(load, SLO, SearchConfig(goal="capacity"), by_energy=False)
    asked = searched(serve, tmp_path, search, load, round(start_rps))
    assert asked[0] == start_rps
    assert len(asked) <= 10
    found = search.capacity.answer()
    assert found.rate_rps == pytest.approx(CAPACITY_RPS, rel=0.05)
    assert found.low_rps <= CAPACITY_RPS <= found.high_rps
    document = search.document()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["limited_by"] == "objectives"
    assert document["over"]
    assert [run["rate_rps"] for run in document["runs"]] == asked
    first, *_ = answer_sentences(SLO, search, by_energy=False)
    assert first.startswith(
        f"capacity is {found.rate_rps:.4g} requests/s (bracket {found.low_rps:.4g} … {found.high_rps:.4g})"
    )
    assert "90 % of requests keep end to end 0.03 s" in first
    assert f"by {len(asked)} runs" in first
    assert "The objectives limit it" in first


@pytest.mark.parametrize("start_rps", [3.0, 20.0, 100.0])
def test_capacity_of_conversations_is_in_conversations(serve: Serve, tmp_path: Path, start_rps: float) -> None:
    load = LoadConfig(rate_rps=start_rps, duration_s=60.0)
    search = ConfigurationSearch(load, SLO, SearchConfig(goal="capacity"), by_energy=False, unit=OF_CONVERSATIONS)
    for number in range(10):
        if (rate := search.next()) is None:
            break
        search.ended(rate, serve(load, rate, round(start_rps) * 100 + number, turns=3), tmp_path)
    found = search.capacity.answer()
    assert found.rate_rps == pytest.approx(CAPACITY_RPS / 3, rel=0.06)
    assert search.document()["unit"] == "conversations/s"
    said = " ".join(answer_sentences(SLO, search, by_energy=False))
    assert "conversations/s" in said
    assert "requests/s" not in said


def test_without_limits_steadiness_bounds_it(serve: Serve, tmp_path: Path) -> None:
    load = LoadConfig(rate_rps=30.0, duration_s=40.0)
    slo = SloConfig(attainment=0.9)
    search = ConfigurationSearch(load, slo, SearchConfig(goal="capacity", max_runs=8), by_energy=False)
    searched(serve, tmp_path, search, load, 7, most=8)
    found = search.capacity.answer()
    assert found.rate_rps == pytest.approx(1 / SERVICE_S, rel=0.15)
    assert search.limited_by == "steadiness"
    assert "Steadiness limits it" in " ".join(answer_sentences(slo, search, by_energy=False))


def test_energy_falls_up_to_capacity_where_idle_power_is_shared(serve: Serve, tmp_path: Path) -> None:
    load = LoadConfig(rate_rps=30.0, duration_s=60.0)
    search = ConfigurationSearch(load, SLO, SearchConfig(goal="least_energy"), by_energy=True)
    searched(serve, tmp_path, search, load, 3)
    found = search.energy.answer()
    assert found.rate_rps == pytest.approx(CAPACITY_RPS, rel=0.1)
    said = " ".join(answer_sentences(SLO, search, by_energy=True))
    assert "energy per good token is least at" in said
    assert "estimated" not in said
    told = [
        run["j_per_good_token"]
        for run in sorted(search.runs, key=lambda run: run["rate_rps"])
        if run["attainment"] > 0.9
    ]
    assert told[0] > 1.2 * told[-1]


def test_a_least_energy_that_rests_on_an_estimate_says_so(serve: Serve, tmp_path: Path) -> None:
    load = LoadConfig(rate_rps=30.0, duration_s=60.0)
    search = ConfigurationSearch(load, SLO, SearchConfig(goal="least_energy"), by_energy=True)
    number = 0
    while search.energy.answer().rate_rps is None:
        rate_rps = search.next()
        assert rate_rps is not None
        result = serve(load, rate_rps, number := number + 1)
        assert result.energy is not None
        assert result.energy.headline is not None
        estimate = result.energy.headline.model_copy(update={"method": "estimate"})
        energy = result.energy.model_copy(update={"headline": estimate})
        search.ended(rate_rps, result.model_copy(update={"energy": energy}), tmp_path)
    assert "estimated energy per good token is least at" in " ".join(answer_sentences(SLO, search, by_energy=True))
    assert {run["energy_method"] for run in search.runs} == {"estimate"}


def test_a_search_that_is_told_its_old_runs_goes_on_where_it_was(serve: Serve, tmp_path: Path) -> None:
    load, settings = LoadConfig(rate_rps=20.0, duration_s=20.0), SearchConfig(goal="capacity", high=500.0)
    first = ConfigurationSearch(load, SLO, settings, by_energy=False)
    told: list[tuple[float, ExperimentResult]] = []
    for number in range(5):
        rate = first.next()
        assert rate is not None
        again = ConfigurationSearch(load, SLO, settings, by_energy=False)
        for count in range(number):
            old = told[count][0]
            assert again.next() == old
            again.ended(old, serve(load, old, count), tmp_path)
        assert again.next() == rate
        result = serve(load, rate, number)
        first.ended(rate, result, tmp_path)
        told.append((rate, result))


def test_a_failed_run_is_repeated_and_three_in_a_row_end_the_search(
    serve: Serve, tmp_path: Path, make_result: Any
) -> None:
    load = LoadConfig(rate_rps=20.0, duration_s=20.0)
    search = ConfigurationSearch(load, SLO, SearchConfig(goal="capacity"), by_energy=False)
    search.ended(20.0, serve(load, 20.0, 1), tmp_path)
    rate = search.next()
    assert rate is not None
    for _ in range(MOST_FAILURES - 1):
        search.ended(rate, make_result(failure=FAILED), tmp_path)
        assert search.next() == rate
    search.ended(rate, make_result(failure=FAILED), tmp_path)
    assert search.next() is None
    assert search.limited_by == "failures"
    said = " ".join(answer_sentences(SLO, search, by_energy=False))
    assert f"{MOST_FAILURES} runs failed" in said
    assert "Crash: gone" in said
    assert "--retry-failed" in said
    assert search.document()["over"]


def test_a_run_that_works_again_clears_its_failures(serve: Serve, tmp_path: Path, make_result: Any) -> None:
    load = LoadConfig(rate_rps=20.0, duration_s=20.0)
    search = ConfigurationSearch(load, SLO, SearchConfig(goal="capacity"), by_energy=False)
    for _ in range(MOST_FAILURES - 1):
        search.ended(20.0, make_result(failure=FAILED), tmp_path)
    search.ended(20.0, serve(load, 20.0, 1), tmp_path)
    assert search.limited_by is None
    search.ended(search.next() or 0, make_result(failure=FAILED), tmp_path)
    assert search.next() is not None


@pytest.mark.parametrize("gone", [REQUESTS, "energy"])
def test_a_run_whose_files_do_not_tell_counts_as_failed(serve: Serve, tmp_path: Path, gone: str) -> None:
    load = LoadConfig(rate_rps=20.0, duration_s=20.0)
    search = ConfigurationSearch(load, SLO, SearchConfig(goal="capacity"), by_energy=False)
    result = serve(load, 20.0, 1)
    if gone == REQUESTS:
        (tmp_path / REQUESTS).write_bytes(b"torn")
    else:
        result = result.model_copy(update={"energy": None})
    search.ended(20.0, result, tmp_path)
    assert search.next() == 20.0
    assert search.runs[0]["status"] == "done"
    assert search.last_failure is not None
    assert search.last_failure.startswith("the table of requests" if gone == REQUESTS else "the result does not tell")


@pytest.mark.parametrize(("bounds", "bound"), [({"high": 25.0}, 25.0), ({"low": 90.0}, 90.0)])
def test_bounds_of_the_search_are_run_once_and_named(
    serve: Serve, tmp_path: Path, bounds: dict[str, float], bound: float
) -> None:
    load = LoadConfig(rate_rps=20.0 if "high" in bounds else 95.0, duration_s=20.0)
    slo = SLO if "high" in bounds else SloConfig(e2e_s=0.0101, attainment=0.9)
    search = ConfigurationSearch(load, slo, SearchConfig(goal="capacity", **bounds), by_energy=False)
    asked = searched(serve, tmp_path, search, load, 5)
    assert asked[-1] == bound
    assert asked.count(bound) == 1
    assert search.limited_by == "bound"
    if "high" in bounds:
        first, *_ = answer_sentences(slo, search, by_energy=False)
        assert first.startswith("capacity is at least 25 requests/s (bracket 25 … ∞)")
        assert "The bound of the search limits it" in first


def test_the_first_rate_is_within_the_bounds() -> None:
    load = LoadConfig(rate_rps=20.0)
    assert ConfigurationSearch(load, SLO, SearchConfig(goal="capacity", high=7.0), by_energy=False).next() == 7.0
    assert ConfigurationSearch(load, SLO, SearchConfig(goal="capacity", low=70.0), by_energy=False).next() == 70.0


def test_unsteady_runs_are_told_apart_from_saturated_ones(serve: Serve, tmp_path: Path) -> None:
    load = LoadConfig(rate_rps=20.0, duration_s=20.0)
    unsteady = serve(load, 20.0, 1, scenario_metrics={"steady": 0.0})
    assert run_figures(load, SLO, unsteady, tmp_path).steady is False
    saturated = unsteady.model_copy(update={"warnings": [ResultWarning(code="saturated", message="more and more")]})
    assert run_figures(load, SLO, saturated, tmp_path).steady == "saturated"
    search = ConfigurationSearch(load, SLO, SearchConfig(goal="capacity"), by_energy=False)
    search.ended(20.0, unsteady, tmp_path)
    assert search.next() == 20.0
    assert "no steady state" in " ".join(answer_sentences(SLO, search, by_energy=False))


def test_energy_of_the_parts_is_that_of_their_readings(tmp_path: Path) -> None:
    """100 W, then 200 W, then 300 W, on a counter; and a second device whose power alone is told."""
    times = np.linspace(-1, 10, 1101)
    steps = np.interp(times, [-1, 0, 3, 6, 9, 10], [0, 100, 400, 1000, 1900, 2200])
    watts = np.where(times < 4.5, 50.0, 100.0)
    write_readings(tmp_path, {"a": (times, steps, None), "b": (times, None, watts)})
    told = energy(9.0, {"a": 1800.0, "b": 675.0})
    found = part_energy(tmp_path, told, 3)
    assert found is not None
    assert found == pytest.approx([300 + 150, 600 + 225, 900 + 300], rel=2e-3)
    assert sum(found) == pytest.approx(2475.0)
    other = told.model_copy(update={"devices": [one.model_copy(update={"sampler": "other"}) for one in told.devices]})
    assert part_energy(tmp_path, other, 3) is None
    assert part_energy(tmp_path, told.model_copy(update={"headline": None}), 3) is None
    (tmp_path / TIMESERIES).unlink()
    assert part_energy(tmp_path, told, 3) is None


@given(st.floats(0.01, 1e4), st.floats(0.5, 0.9999))
def test_runs_are_as_long_as_the_requests_that_tell_take(rate_rps: float, attainment: float) -> None:
    slo = SloConfig(attainment=attainment)
    found = run_length(LoadConfig(rate_rps=1.0), slo, rate_rps)
    wanted = requests_wanted(slo)
    assert wanted >= LEAST
    assert wanted * (1 - attainment) >= 10 - 1e-6
    duration_s = found["load.duration_s"]
    assert 60 <= duration_s <= 86_400
    assert duration_s == 86_400 or duration_s * rate_rps >= wanted * (1 - 1e-9)
    assert duration_s in (60, 86_400) or (duration_s - 1) * rate_rps < wanted
    assert found["load.steady_s"] >= min(86_400, 2 * duration_s)


def test_a_length_that_the_study_gives_is_kept() -> None:
    assert run_length(LoadConfig(rate_rps=1.0, duration_s=5.0), SLO, 0.1) == {}
    assert "load.steady_s" not in run_length(LoadConfig(rate_rps=1.0, steady_s=9.0), SLO, 0.1)


def test_the_plan_is_told_in_words() -> None:
    settings = SearchConfig(goal="capacity", max_runs=7, low=2.0, high=9.0)
    said = "\n".join(plan_sentences("capacity", [(LoadConfig(rate_rps=3.0), SLO, OF_REQUESTS)], settings))
    for words in (
        "highest steady rate",
        "90 % of requests keep end to end 0.03 s",
        "from 3 requests/s",
        "7 runs",
        "from 2 up to 9",
    ):
        assert words in said
    assert "until 1,000 requests have come" in said
    # 1,000 requests at 3 a second are 334 s, as long again until it is steady at the least, and twice as long at the most.
    assert (
        "the load of a run at 3 requests/s (ramp, wait for a steady state, window, drain) takes 11 min 18 s to 17 min 22 s"
        in said
    )
    assert "7 such loads 1 h 19 min to 2 h 1 min; one at a lower rate takes longer" in said
    short = LoadConfig(rate_rps=3.0, duration_s=20.0)
    said = "\n".join(plan_sentences("capacity", [(short, SLO, OF_REQUESTS)], settings))
    assert "60 requests in the first: 1,000 tell" in said
    assert "drain) takes 50 s to 3 min" in said
    assert "lower rate" not in said


def test_answers_are_plain_where_nothing_is_known() -> None:
    search = ConfigurationSearch(LoadConfig(rate_rps=3.0), SLO, SearchConfig(goal="capacity"), by_energy=False)
    document = search.document()
    assert document["capacity"]["high_rps"] is None
    assert not document["over"]
    assert document["runs"] == []
    assert list(answer_sentences(SLO, search, by_energy=False)) == ["capacity is not told. Nothing has run yet."]
    assert document["limited_by"] is None


def test_a_search_for_the_least_energy_ends_where_nothing_is_measured(serve: Serve, tmp_path: Path) -> None:
    load = LoadConfig(rate_rps=20.0, duration_s=20.0)
    search = ConfigurationSearch(load, SLO, SearchConfig(goal="least_energy"), by_energy=True)
    result = serve(load, 20.0, 1)
    (tmp_path / TIMESERIES).unlink()
    search.ended(20.0, result, tmp_path)
    assert search.next() is None
    assert search.limited_by == "energy"
    assert "it takes a meter" in " ".join(answer_sentences(SLO, search, by_energy=True))
    other = ConfigurationSearch(load, SLO, SearchConfig(goal="capacity"), by_energy=False)
    other.ended(20.0, result, tmp_path)
    assert other.next() is not None
