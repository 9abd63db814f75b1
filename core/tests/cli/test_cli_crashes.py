"""Whatever becomes of an experiment, the study goes on and its result says what happened."""

from __future__ import annotations

import json
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from llem.results.models import ExperimentResult, Failure
from llem.results.store import job_directories, read_result

pytestmark = pytest.mark.process

Crashed = tuple[Path, CompletedProcess[str]]


@pytest.fixture(scope="module")
def results(crashed: Crashed) -> list[ExperimentResult]:
    return [read_result(directory) for directory in job_directories(crashed[0])]


def failure(results: list[ExperimentResult], kind: str, where: str = "generate") -> Failure:
    """Of the one experiment that was told to fail so."""
    (found,) = [r for r in results if (r.config["testbed"]["fail"], r.config["testbed"]["fail_in"]) == (kind, where)]
    assert found.status == "failed"
    assert found.failure is not None
    assert found.energy is None
    return found.failure


def test_the_study_goes_on_and_is_no_success(crashed: Crashed, results: list[ExperimentResult], read: Any) -> None:
    folder, done = crashed
    assert done.returncode == 1
    assert "Traceback" not in done.stderr.replace("  | ", "")
    assert [r.status for r in results] == ["failed"] * 8 + ["done"]
    account = read.manifest(folder)
    assert account["state"] == "complete"
    assert (account["totals"]["done"], account["totals"]["failed"]) == (1, 8)
    assert "complete: 1 done, 8 failed" in done.stderr


def test_a_python_error_keeps_its_type_message_and_traceback(results: list[ExperimentResult]) -> None:
    found = failure(results, "raise")
    assert (found.type, found.phase) == ("RuntimeError", "window")
    assert "told to raise" in found.message
    assert "told to raise" in (found.log_tail or "")


@pytest.mark.parametrize(("kind", "signal"), [("segfault", "SIGSEGV"), ("kill", "SIGKILL")])
def test_a_worker_that_a_signal_ends_is_told_by_its_signal(
    results: list[ExperimentResult], kind: str, signal: str
) -> None:
    found = failure(results, kind)
    assert (found.type, found.signal, found.exit_code, found.phase) == ("Crash", signal, None, "window")


@pytest.mark.parametrize(
    ("kind", "where", "code", "phase"), [("exit", "load", 7, "load"), ("silent_exit", "generate", 0, "window")]
)
def test_a_worker_that_leaves_no_result_is_told_by_its_exit_code(
    results: list[ExperimentResult], kind: str, where: str, code: int, phase: str
) -> None:
    found = failure(results, kind, where)
    assert (found.type, found.signal, found.exit_code, found.phase) == ("Crash", None, code, phase)
    assert "no result" in found.message


@pytest.mark.parametrize(
    ("where", "why", "limit"), [("generate", "Timeout", "timeout_s"), ("load", "Silence", "silence_timeout_s")]
)
def test_a_worker_that_hangs_and_ignores_signals_is_killed_at_its_limit(
    results: list[ExperimentResult], where: str, why: str, limit: str
) -> None:
    found = failure(results, "hang", where)
    assert (found.type, found.signal) == (why, "SIGKILL")
    assert f"3 s (limits.{limit})" in found.message


def test_what_a_worker_started_dies_with_it(crashed: Crashed, results: list[ExperimentResult]) -> None:
    assert failure(results, "orphan").type == "Timeout"
    assert json.loads((crashed[0].parents[1] / "orphan.json").read_text()) == {"is_alive": False}


def test_the_manifest_and_the_table_tell_each_failure_in_short(crashed: Crashed, read: Any) -> None:
    folder, done = crashed
    entries = read.manifest(folder)["experiments"]
    types = [e["failure"]["type"] if e["failure"] else None for e in entries]
    assert types == ["RuntimeError", "Crash", "Crash", "Crash", "Crash", "Timeout", "Silence", "Timeout", None]
    assert [row["failure.type"] for row in read.rows(folder)] == types
    assert done.stdout.count("failed: experiments/") == 8
    assert "Timeout in window" in done.stdout


def test_every_failed_result_can_be_shown(crashed: Crashed, llem: Any) -> None:
    job = sorted((crashed[0] / "experiments").iterdir())[1]
    shown = llem("show", job)
    assert shown.returncode == 0
    assert "failure: Crash in window" in shown.stdout
    assert "SIGSEGV" in shown.stdout
