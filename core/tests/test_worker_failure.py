"""A worker whose experiment fails: the result says what, where and why, and keeps what was known by then."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llem.results.job_directory import EVENTS, EXPERIMENT, RESULT, TIMESERIES

pytestmark = pytest.mark.process

Make = Callable[..., Any]


def wait_for(job: Any, process: subprocess.Popen[bytes], name: str) -> None:
    """Until the worker has told that it is in a phase."""
    told = f'"name": "{name}", "state": "start"'
    while process.poll() is None:
        if (job.directory / EVENTS).exists() and told in (job.directory / EVENTS).read_text():
            return
        time.sleep(0.01)
    raise AssertionError(f"it ended before {name}: {(job.directory / 'worker.log').read_text()}")


def test_a_load_that_fails_keeps_the_baseline_and_names_the_phase(make_job: Make) -> None:
    job = make_job(
        testbed={"fail": "raise", "fail_in": "load"},
        baseline={"enabled": True, "duration_s": 1, "cache": False},
        document={"provenance": {"commit": "abc"}},
    )
    assert job.run() == 1
    result = job.result
    assert result.status == "failed"
    assert (result.failure.type, result.failure.phase) == ("RuntimeError", "load")
    assert result.failure.message == "the testbed was told to raise"
    assert "in load" in result.failure.log_tail
    assert "RuntimeError" in result.failure.log_tail
    assert [p.name for p in result.phases] == ["idle_baseline", "load"]
    assert result.baseline.idle_w["testmeter:0"] == pytest.approx(50)
    assert result.dataset.n == 4
    assert result.samplers[0].readings > 0
    assert result.environment["meters"] == {"testmeter": {"power_limit_w": 50.0}}
    assert result.environment["study"] == {"commit": "abc"}
    assert result.model is None
    assert (job.directory / "worker.log").read_text().count("testbed closed") == 1
    for figure in (result.energy, result.tokens, result.throughput, result.latency, result.memory, result.flops):
        assert figure is None
    assert not (job.directory / TIMESERIES).exists()
    failures = [e for e in job.events if e["event"] == "failure"]
    assert [(e["type"], e["text"]) for e in failures] == [("RuntimeError", "the testbed was told to raise")]


@pytest.mark.parametrize(("warmup", "phase"), [({"enabled": True}, "warmup"), ({"enabled": False}, "window")])
def test_an_answer_that_fails_does_so_in_the_phase_that_asked(make_job: Make, warmup: Any, phase: str) -> None:
    job = make_job(testbed={"fail": "raise"}, warmup=warmup)
    assert job.run() == 1
    assert job.result.failure.phase == phase
    assert job.result.phases[-1].name == phase
    assert job.result.model.source == "random:tiny-llama"
    assert job.result.environment["engine"] == {"testbed": "1.0"}
    states = [(e["name"], e["state"]) for e in job.events if e["event"] == "phase"]
    assert states[-1] == (phase, "end")


def test_what_fails_before_the_first_phase_is_named_too(make_job: Make, tmp_path: Path) -> None:
    job = make_job(dataset={"name": "jsonl", "path": "missing.jsonl", "n": 1, "input_tokens": None})
    assert job.run() == 1
    failure = job.result.failure
    assert (failure.type, failure.phase) == ("DatasetError", "prepare")
    assert "missing.jsonl" in failure.message
    assert job.result.phases == []


def test_a_configuration_that_does_not_compose_here_fails_with_its_keys(make_job: Make) -> None:
    job = make_job()
    document = json.loads((job.directory / EXPERIMENT).read_text())
    document["config"]["testbed"]["colour"] = "red"
    (job.directory / EXPERIMENT).write_text(json.dumps(document))
    assert job.run() == 1
    assert job.result.failure.type == "ConfigError"
    assert "colour" in job.result.failure.message
    assert job.result.config["testbed"]["colour"] == "red"


def test_a_sampler_that_was_asked_for_and_does_not_work_fails_the_experiment(make_job: Make) -> None:
    job = make_job(measurement={"samplers": ["nvml"]})
    job.environment["CUDA_VISIBLE_DEVICES"] = ""
    assert job.run() == 1
    assert job.result.failure.type == "SamplerUnavailable"
    assert "nvml" in job.result.failure.message


def test_a_table_that_cannot_be_written_is_a_failure_of_the_report(make_job: Make) -> None:
    job = make_job()
    (job.directory / "requests.parquet").mkdir()
    assert job.run() == 1
    assert job.result.failure.phase == "report"
    assert [p.name for p in job.result.phases][-1] == "close"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("scenario", ["offline", "single_stream"])
def test_a_request_to_end_in_the_window_leaves_an_interrupted_result(
    make_job: Make, number: signal.Signals, scenario: str
) -> None:
    job = make_job(measurement={"min_window_s": 600, "scenario": scenario})
    process = job.start()
    wait_for(job, process, "window")
    process.send_signal(number)
    assert process.wait(120) == 1
    result = job.result
    assert (result.status, result.failure.type, result.failure.phase) == ("failed", "Interrupted", "window")
    assert number.name in result.failure.message
    assert result.energy is None
    assert (job.directory / "worker.log").read_text().count("testbed closed") == 1
    assert "Traceback" not in (job.directory / "worker.log").read_text()


def test_a_second_request_to_end_does_not_break_the_first(make_job: Make) -> None:
    job = make_job(baseline={"enabled": True, "duration_s": 600, "cache": False})
    process = job.start()
    wait_for(job, process, "idle_baseline")
    for _ in range(5):
        process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 1
    assert job.result.failure.phase == "idle_baseline"


def test_a_worker_that_is_killed_leaves_no_result(make_job: Make) -> None:
    job = make_job(testbed={"fail": "kill"})
    assert job.run() == -signal.SIGKILL
    assert not (job.directory / RESULT).exists()


def test_no_secret_of_the_configuration_or_the_environment_reaches_a_file_of_the_result(make_job: Make) -> None:
    job = make_job(model={"source": "https://me:pass-word-1@example.org/model"})
    job.environment["HF_TOKEN"] = "a-secret-of-the-user"
    document = json.loads((job.directory / EXPERIMENT).read_text())
    document["provenance"] = {"note": "made with a-secret-of-the-user"}
    document["warnings"] = [{"code": "odd", "message": "https://me:pass-word-1@example.org"}]
    (job.directory / EXPERIMENT).write_text(json.dumps(document))
    assert job.run() == 0, job.result.failure
    assert job.result.model.source == "https://***@example.org/model"
    for name in (RESULT, EVENTS, "worker.log"):
        text = (job.directory / name).read_text()
        assert "pass-word-1" not in text
        assert "a-secret-of-the-user" not in text
