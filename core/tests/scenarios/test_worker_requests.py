"""A worker's record of single requests, in both scenarios and both modes of work, and without any meter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from llem.measure.orchestrator import ExperimentOrchestrator
from llem.measure.requests_table import COLUMNS
from llem.plugins import Registry
from llem.results.job_directory import REQUESTS, TIMESERIES
from llem.specs.kinds import BACKENDS, SAMPLERS
from llem.specs.registry import HookKind

pytestmark = pytest.mark.process

Make = Callable[..., Any]


def test_each_row_is_a_request_and_each_column_has_its_unit(make_job: Make) -> None:
    job = make_job(testbed={"token_s": 0.01, "batch_size": 2})
    assert job.run() == 0
    table = pq.read_table(job.directory / REQUESTS)
    assert [(f.name, f.metadata[b"unit"].decode()) for f in table.schema] == [(c[0], c[2]) for c in COLUMNS]
    assert all(f.metadata[b"description"] for f in table.schema)
    rows = table.to_pylist()
    passes = range(1, job.result.passes + 1)  # several on a slow machine, whose window is longer
    told = [(r["pass"], r["batch"], r["id"]) for r in rows]
    assert told == [(n, batch, place) for n in passes for batch, place in ((1, 0), (1, 1), (2, 2), (2, 3))]
    for row in rows:
        assert (row["input_tokens"], row["output_tokens"], row["finish"]) == (6, 5, "length")
        assert 0 <= row["arrival_s"] <= row["start_s"] <= row["first_token_s"] <= row["end_s"]
        assert row["ttft_s"] == pytest.approx(row["first_token_s"] - row["arrival_s"])
        assert len(row["itl_s"]) == 4
        # The testbed sleeps 10 ms before each token.
        assert row["ttft_s"] >= 0.01
        assert min(row["itl_s"]) >= 0.0099
        assert row["tpot_s"] == pytest.approx(sum(row["itl_s"]) / 4)
        assert row["e2e_s"] == pytest.approx(row["ttft_s"] + sum(row["itl_s"]))
    # The second batch was released when the first had been answered.
    assert rows[2]["arrival_s"] >= rows[0]["end_s"]
    assert rows[0]["arrival_s"] == rows[1]["arrival_s"]


@pytest.mark.parametrize("scenario", ["offline", "single_stream"])
def test_the_results_percentiles_are_those_of_the_rows(make_job: Make, scenario: str) -> None:
    job = make_job(measurement={"scenario": scenario, "min_window_s": 0.2})
    assert job.run() == 0
    table = pq.read_table(job.directory / REQUESTS)
    figures = job.result.latency
    columns = {name: table[name] for name in ("ttft_s", "tpot_s", "e2e_s")}
    columns["itl_s"] = pc.list_flatten(table["itl_s"])
    for name, column in columns.items():
        told = getattr(figures, name)
        p50, p90, p95, p99 = pc.quantile(column, q=[0.5, 0.9, 0.95, 0.99], interpolation="linear").to_pylist()
        n = len(column)
        assert told.p50 == pytest.approx(p50)
        # Ten values have to lie beyond a percentile.
        assert told.p90 == (pytest.approx(p90) if n >= 100 else None)
        assert told.p95 == (pytest.approx(p95) if n >= 200 else None)
        assert told.p99 == (pytest.approx(p99) if n >= 1_000 else None)
        assert told.n == len(column)
        assert told.mean == pytest.approx(pc.mean(column).as_py())
        assert told.std == pytest.approx(pc.stddev(column, ddof=1).as_py())
    assert figures.batch_s.n == len(set(zip(table["pass"].to_pylist(), table["batch"].to_pylist(), strict=True)))


def test_a_single_stream_asks_one_request_after_the_other(make_job: Make) -> None:
    job = make_job(measurement={"scenario": "single_stream"}, testbed={"batch_size": 4}, warmup={"enabled": True})
    assert job.run() == 0
    assert job.result.scenario == "single_stream"
    rows = pq.read_table(job.directory / REQUESTS).to_pylist()
    passes = job.result.passes  # several on a slow machine, whose window is longer
    assert [(r["batch"], r["id"]) for r in rows] == [(1, 0), (2, 1), (3, 2), (4, 3)] * passes
    assert all(later["arrival_s"] >= earlier["end_s"] for earlier, later in pairwise(rows))
    assert job.result.latency.ttft_s.n == 4 * passes


@pytest.mark.parametrize(("length", "work"), [("fixed", "fixed_length"), ("natural", "natural_length")])
def test_the_mode_of_work_is_stated(make_job: Make, length: str, work: str) -> None:
    job = make_job(decoding={"length": length})
    assert job.run() == 0
    assert job.result.work == work


class Meterless(Registry):
    """An environment in which no sampler is installed."""

    def __getitem__(self, kind: HookKind[Any]) -> Mapping[str, Any]:
        return {} if kind is SAMPLERS else super().__getitem__(kind)


def test_where_nothing_measures_energy_it_is_null_and_everything_else_is_there(make_job: Make) -> None:
    job = make_job(
        measurement={"samplers": None},
        baseline={"enabled": True, "duration_s": 3600, "resident_s": 3600},
        warmup={"enabled": True, "cv_threshold": 5},
    )
    directory: Path = job.directory
    result = ExperimentOrchestrator(directory, Meterless()).run()
    assert result.status == "done", result.failure
    assert result.energy is not None
    assert result.energy.headline is None
    assert (result.energy.totals, result.energy.devices, result.energy.phases_j) == ([], [], {})
    assert result.baseline is not None
    assert (result.baseline.source, result.baseline.idle_w, result.baseline.resident_w) == (None, {}, {})
    assert [w.code for w in result.warnings].count("energy_unmeasured") == 1
    assert result.throughput is not None
    assert result.throughput.tokens_per_s is not None
    assert result.throughput.tokens_per_s > 0
    assert result.warmup is not None
    assert result.warmup.power_cv is None
    assert result.flops is None  # the test backend tells no architecture
    assert pq.read_table(directory / TIMESERIES).num_rows == 0


@pytest.mark.parametrize(
    ("times", "code", "known"),
    [("one_instant", "token_times_unseen", {"e2e_s"}), ("no_duration", "request_times_contradict", set())],
)
def test_times_that_nobody_saw_are_null_and_the_result_says_why(
    make_job: Make, times: str, code: str, known: set[str]
) -> None:
    job = make_job(testbed={"times": times, "token_s": 0.005})
    assert job.run() == 0
    told = job.result.latency
    assert {name for name in ("ttft_s", "itl_s", "tpot_s", "e2e_s") if getattr(told, name) is not None} == known
    assert told.batch_s is not None
    assert code in [warning.code for warning in job.result.warnings]
    rows = pq.read_table(job.directory / REQUESTS).to_pylist()
    assert {row["ttft_s"] for row in rows} == {row["first_token_s"] for row in rows} == {None}
    assert all((row["end_s"] is None) == (times == "no_duration") for row in rows)


def test_a_caveat_of_the_engine_is_a_warning_of_the_result_as_it_was_told_last(make_job: Make) -> None:
    job = make_job(testbed={"caveat": "testbed_note"})
    assert job.run() == 0
    told = [warning.message for warning in job.result.warnings if warning.code == "testbed_note"]
    assert told == ["said the 3. time"], "after load, after warm-up, after the window"


def test_a_caveat_is_kept_by_an_experiment_that_fails(make_job: Make) -> None:
    job = make_job(testbed={"caveat": "testbed_note", "fail": "raise"})
    assert job.run() != 0
    told = [w.message for w in job.result.warnings if w.code == "testbed_note"]
    assert told == ["said the 2. time"], "it failed in the window"


class TellsItsBatchSize(Meterless):
    """An environment in which the testbed's spec says how large its batches are."""

    def __getitem__(self, kind: HookKind[Any]) -> Mapping[str, Any]:
        found = super().__getitem__(kind)
        if kind is not BACKENDS:
            return found
        return {name: replace(spec, batch_size=lambda section: section.batch_size) for name, spec in found.items()}


@pytest.mark.parametrize(("n", "mean", "told"), [(3, 1.5, ["batch_fill"]), (4, 2.0, [])])
def test_a_batch_that_is_not_full_is_told_with_both_sizes(make_job: Make, n: int, mean: float, told: list[str]) -> None:
    job = make_job(
        testbed={"batch_size": 2},
        dataset={"name": "synthetic", "n": n, "input_tokens": 4, "output_tokens": 3},
        measurement={"samplers": None},
    )
    result = ExperimentOrchestrator(job.directory, TellsItsBatchSize()).run()
    assert result.batching is not None
    assert (result.batching.requested_size, result.batching.mean_size) == (2, mean)
    assert [warning.code for warning in result.warnings if warning.code == "batch_fill"] == told


def test_a_warm_up_that_goes_on_says_how_far_it_is(make_job: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llem.measure.experiment.WARMUP_TOLD_S", 0.0)
    job = make_job(
        measurement={"samplers": None}, warmup={"enabled": True, "cv_threshold": 1e-9, "max_prompts": 10, "batches": 2}
    )
    result = ExperimentOrchestrator(job.directory, Meterless()).run()
    assert result.status == "done", result.failure
    told = [e["text"] for e in job.events if e.get("code") == "warmup"]
    assert len(told) == result.warmup.batches == 5
    assert "0 of the 2 runs that are compared" in told[0]
    assert "over the last 2 runs latency per step has a spread of" in told[-1]
    assert "power" not in told[-1], "without a meter nothing is known of it, and nothing is said"
    assert all("warmup.max_s ends it after 120 s" in text for text in told)
