"""One experiment from `experiment.json` to `result.json`, in a worker of its own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pyarrow.parquet as pq
import pytest

from llem.results.job_directory import EXPERIMENT, READINGS, REQUESTS, RESULT, TIMESERIES

pytestmark = pytest.mark.process

Make = Callable[..., Any]

PHASES = ["idle_baseline", "load", "resident_baseline", "warmup", "settle", "window", "close"]


def test_everything_is_there_when_the_result_is(make_job: Make) -> None:
    job = make_job()
    assert job.run() == 0, (job.directory / "worker.log").read_text()
    names = {path.name for path in job.directory.iterdir()}
    assert names == {
        "experiment.json",
        "result.json",
        "timeseries.parquet",
        "requests.parquet",
        "events.jsonl",
        "worker.log",
    }
    newest = max(job.directory.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert newest.name == RESULT
    assert job.result.status == "done"
    assert job.result.failure is None


def test_the_result_says_which_experiment_of_which_study_it_is(make_job: Make) -> None:
    job = make_job(
        document={"provenance": {"commit": "abc"}, "warnings": [{"code": "gpu_shared", "message": "someone else"}]}
    )
    assert job.run() == 0
    identity = job.result.identity
    assert (identity.study, identity.cycle, identity.position) == ("by-hand", 2, 3)
    assert identity.point == {"testbed.batch_size": 2}
    assert identity.config_hash == json.loads((job.directory / EXPERIMENT).read_text())["config_hash"]
    assert job.result.environment["study"] == {"commit": "abc"}
    assert "gpu_shared" in job.codes
    assert "identity_differs" not in job.codes


def test_another_identity_than_the_planned_one_is_told(make_job: Make) -> None:
    job = make_job()
    file = job.directory / EXPERIMENT
    file.write_text(json.dumps({**json.loads(file.read_text()), "config_hash": "0" * 64}))
    assert job.run() == 0
    assert "identity_differs" in job.codes


def test_each_phase_starts_and_ends_once_in_order_without_gaps(make_job: Make) -> None:
    job = make_job()
    assert job.run() == 0
    told = [(e["name"], e["state"], e["t_ns"]) for e in job.events if e["event"] == "phase"]
    assert [(name, state) for name, state, _ in told] == [(p, s) for p in PHASES for s in ("start", "end")]
    assert [(p.name, p.start_ns, p.end_ns) for p in job.result.phases] == [
        (start[0], start[2], end[2]) for start, end in zip(told[::2], told[1::2], strict=True)
    ]
    assert all(a.end_ns == b.start_ns for a, b in zip(job.result.phases, job.result.phases[1:], strict=False))
    window = next(p for p in job.result.phases if p.name == "window")
    assert job.result.energy.window_s == pytest.approx((window.end_ns - window.start_ns) / 1e9, rel=1e-12)


def test_the_window_is_long_enough_and_holds_whole_passes(make_job: Make) -> None:
    job = make_job(measurement={"min_window_s": 0.3})
    assert job.run() == 0
    result = job.result
    assert result.energy.window_s >= 0.3
    assert result.passes > 1
    assert result.tokens.requests == 4 * result.passes
    assert result.tokens.output == 4 * 5 * result.passes
    assert result.tokens.input == 4 * 6 * result.passes
    rows = pq.read_table(job.directory / REQUESTS).to_pylist()
    assert [row["id"] for row in rows] == [0, 1, 2, 3] * result.passes
    # The pass that reached the length is the last. A meter that is read late on a busy machine lengthens the window.
    told = " ".join(event["text"] for event in job.events if event.get("code") == "window_lengthened")
    length_s = max([0.3, *(1.005 * float(rounded) for rounded in re.findall(r"made (\S+) s long", told))])
    last = min(row["arrival_s"] for row in rows if row["pass"] == result.passes)
    assert last < length_s <= 1.005 * result.energy.window_s


def test_energy_is_power_times_window_and_agrees_with_the_speed(make_job: Make) -> None:
    job = make_job(measurement={"min_window_s": 0.3})
    assert job.run() == 0
    result = job.result
    figure, window_s, tokens = result.energy.headline, result.energy.window_s, result.tokens
    assert (figure.scope, figure.method, figure.devices) == ("cpu", "counter", ["testmeter:0"])
    assert figure.energy_j == pytest.approx(50 * window_s, rel=1e-6)
    assert figure.mean_w == pytest.approx(50, rel=1e-6)
    assert result.throughput.tokens_per_s == pytest.approx(tokens.output / window_s)
    assert result.throughput.total_tokens_per_s == pytest.approx((tokens.input + tokens.output) / window_s)
    assert result.throughput.requests_per_s == pytest.approx(tokens.requests / window_s)
    assert figure.j_per_output_token == pytest.approx(figure.mean_w / result.throughput.tokens_per_s, rel=1e-9)
    assert figure.j_per_token == pytest.approx(figure.energy_j / (tokens.input + tokens.output))
    assert figure.j_per_request == pytest.approx(figure.energy_j / tokens.requests)
    device = result.energy.devices[0]
    assert device.counter_j == pytest.approx(device.power_j, rel=1e-6)
    assert figure.adjusted_j is None
    phases_s = {p.name: (p.end_ns - p.start_ns) / 1e9 for p in result.phases}
    for name, devices in result.energy.phases_j.items():
        assert devices["testmeter:0"] == pytest.approx(50 * phases_s[name], rel=1e-6)
    assert {"load", "window"} <= set(result.energy.phases_j)


def test_adjusted_energy_leaves_out_idle_power(make_job: Make) -> None:
    job = make_job(baseline={"enabled": True, "duration_s": 1, "resident_s": 1, "cache": False})
    assert job.run() == 0
    result = job.result
    assert result.baseline.source == "measured"
    assert result.baseline.duration_s >= 1
    assert result.baseline.idle_w["testmeter:0"] == pytest.approx(50, rel=1e-6)
    assert result.baseline.resident_w["testmeter:0"] == pytest.approx(50, rel=1e-6)
    device = result.energy.devices[0]
    assert device.adjusted_j == pytest.approx(device.energy_j - device.idle_w * result.energy.window_s, abs=1e-9)
    assert result.energy.headline.adjusted_j == pytest.approx(0, abs=1e-3)
    assert result.energy.headline.energy_j == pytest.approx(50 * result.energy.window_s, rel=1e-6)


def test_a_cached_baseline_serves_the_next_experiment_and_says_so(
    make_job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TESTMETER_SCOPE", "gpu")  # what else runs here is not in it
    job = make_job(baseline={"enabled": True, "duration_s": 0.3, "resident_s": 0})
    assert job.run() == 0
    first = job.result.baseline
    assert (first.source, first.age_s) == ("measured", None)
    assert first.resident_w == {}
    (job.directory / RESULT).unlink()
    assert job.run() == 0
    again = job.result.baseline
    assert again.source == "cached"
    assert again.age_s > 0
    assert again.idle_w == first.idle_w
    assert job.result.energy.devices[0].adjusted_j is not None


def test_a_baseline_that_is_switched_off_leaves_its_figures_null(make_job: Make) -> None:
    job = make_job()
    assert job.run() == 0
    assert job.result.baseline.model_dump(exclude_defaults=True) == {"enabled": False}
    assert job.result.energy.devices[0].idle_w is None


def test_warm_up_runs_until_it_is_steady(make_job: Make) -> None:
    job = make_job(warmup={"enabled": True, "cv_threshold": 5, "batches": 2})
    assert job.run() == 0
    warmup = job.result.warmup
    assert warmup.converged is True
    assert (warmup.batches, warmup.prompts) == (4, 8)  # one of other prompts, the cold one, two that are compared
    assert warmup.cv < 5
    assert "warmup_not_converged" not in job.codes
    # Not one of its prompts is in the window's figures.
    assert job.result.tokens.requests == 4 * job.result.passes
    rows = pq.read_table(job.directory / REQUESTS).to_pylist()
    assert [row["id"] for row in rows] == [0, 1, 2, 3] * job.result.passes


def test_warm_up_that_does_not_become_steady_is_told(make_job: Make) -> None:
    job = make_job(warmup={"enabled": True, "cv_threshold": 1e-9, "max_prompts": 6, "batches": 2})
    assert job.run() == 0
    assert job.result.warmup.converged is False
    assert job.result.warmup.prompts == 6
    assert job.result.warmup.stopped_by == "max_prompts"
    assert "warmup_not_converged" in job.codes


def test_the_time_series_has_units_and_counts_from_the_windows_start(make_job: Make) -> None:
    job = make_job(measurement={"min_window_s": 0.3, "sample_hz": 100})
    assert job.run() == 0
    assert not (job.directory / READINGS).exists()
    table = pq.read_table(job.directory / TIMESERIES)
    assert {f.name: f.metadata[b"unit"] for f in table.schema}["power_w"] == b"W"
    rows = table.to_pylist()
    assert rows[0]["t_s"] < 0 < rows[-1]["t_s"]
    assert {row["power_w"] for row in rows} == {50.0}
    sampler = job.result.samplers[0]
    assert (sampler.name, sampler.used, sampler.readings) == ("testmeter", True, len(rows))


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["/nowhere/at/all"]])
def test_without_an_experiment_there_is_no_result(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "llem.worker", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert ("usage" in done.stderr) == (len(arguments) != 1)


def test_an_experiment_of_another_version_is_refused(make_job: Make) -> None:
    job = make_job()
    file = job.directory / EXPERIMENT
    file.write_text(json.dumps({**json.loads(file.read_text()), "schema": 99}))
    assert job.run() == 2
    assert not (job.directory / RESULT).exists()
    assert "version 99" in (job.directory / "worker.log").read_text()


HEARD = """
import gc, sys
import llem.worker
from llem.specs.kinds import BACKENDS
from llem.plugins import Registry, load_object

engine = load_object(Registry()[BACKENDS]["testbed"].engine)
load = engine.load

def heard(self, context):
    print("collects in load:", gc.isenabled())
    return load(self, context)

engine.load = heard
sys.exit(llem.worker.main(sys.argv[1:]))
"""


def test_an_engine_loads_with_the_garbage_collector_at_work(make_job: Make) -> None:
    """While a worker's modules load it rests; figures taken without it would be of no engine that anybody runs."""
    job = make_job()
    command = [sys.executable, "-c", HEARD, str(job.directory)]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, env=job.environment, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "collects in load: True" in done.stdout
