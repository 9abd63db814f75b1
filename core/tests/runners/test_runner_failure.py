"""A worker that left no valid result gets a failed one, which says what is known and no more."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from llem.measure.failure import TAIL_BYTES, TAIL_LINES, log_tail
from llem.results.job_directory import EVENTS, LOG, RESULT, EventLog, JobDocument
from llem.results.models import ExperimentResult
from llem.results.store import read_result
from llem.runners.failure import INVALID, Ended, final_result
from llem.specs.runner import Exit

DOCUMENT = JobDocument(
    config={"decoding": {"length": "natural"}, "measurement": {"scenario": "single_stream"}},
    config_hash="a" * 64,
    base_dir="/",
    study="study-1",
    cycle=2,
    position=5,
    point={"testbed.batch_size": 4},
    warnings=[{"code": "gpu_shared", "message": "shared"}],
)


def ended(**values: Any) -> Ended:
    return Ended(**{"why": "Crash", "started_at": datetime(2025, 1, 2, tzinfo=UTC), **values})


def a_result(**values: Any) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "status": "done",
        "identity": {"config_hash": "a" * 64},
        "config": {},
        "work": "fixed_length",
        "scenario": "offline",
        "started_at": "2025-01-02T00:00:00Z",
        "ended_at": "2025-01-02T00:00:01Z",
        **values,
    }


def test_a_crash_says_phase_signal_and_log_tail(tmp_path: Path) -> None:
    log = EventLog(tmp_path / EVENTS)
    for name, state in [("load", "start"), ("load", "end"), ("window", "start")]:
        log.append("phase", name=name, state=state)
    log.close()
    (tmp_path / LOG).write_text("first\nSegmentation fault\n")
    result = final_result(tmp_path, DOCUMENT, ended(ending=Exit(signal="SIGSEGV")))
    assert result == read_result(tmp_path)
    assert result.status == "failed"
    assert result.failure is not None
    assert result.failure.model_dump() == {
        "type": "Crash",
        "message": "the worker crashed with SIGSEGV.",
        "phase": "window",
        "exit_code": None,
        "signal": "SIGSEGV",
        "log_tail": "first\nSegmentation fault",
    }
    assert [phase.name for phase in result.phases] == ["load"]
    assert (result.identity.cycle, result.identity.position, result.identity.study) == (2, 5, "study-1")
    assert (result.work, result.scenario) == ("natural_length", "single_stream")
    assert [w.code for w in result.warnings] == ["gpu_shared"]
    assert result.energy is None
    assert result.started_at == "2025-01-02T00:00:00.000+00:00"


@pytest.mark.parametrize(
    ("ending", "message"),
    [
        (Exit(code=0), "the worker ended with exit code 0 and left no result."),
        (Exit(code=7), "the worker ended with exit code 7 and left no result."),
        (Exit(signal="SIGKILL"), "the worker was killed (SIGKILL) by something other than llem."),
        (
            Exit(signal="SIGKILL", cause="likely out of memory: 1"),
            "the worker was killed (SIGKILL) by something other than llem; likely out of memory: 1.",
        ),
        (None, "the worker ended in an unknown way and left no result."),
    ],
)
def test_every_exit_is_told_in_words(tmp_path: Path, ending: Exit | None, message: str) -> None:
    failure = final_result(tmp_path, DOCUMENT, ended(ending=ending)).failure
    assert failure is not None
    assert failure.message == message


@pytest.mark.parametrize(
    "text",
    [
        "",
        json.dumps(a_result())[:-40],
        json.dumps(a_result(identity={"config_hash": "b" * 64})),
        json.dumps(a_result(status="perhaps")),
        json.dumps(a_result(schema_version=99)),
        json.dumps(a_result(status="failed")),
        "[]",
        '{"status": NaN',
        "[" * 100_000,
    ],
    ids=["empty", "torn", "other experiment", "status", "schema", "no reason", "list", "NaN", "deep"],
)
def test_a_result_that_is_none_is_kept_aside_and_replaced(tmp_path: Path, text: str) -> None:
    (tmp_path / RESULT).write_text(text)
    result = final_result(tmp_path, DOCUMENT, ended(ending=Exit(code=0)))
    assert result.failure is not None
    assert INVALID in result.failure.message
    assert (tmp_path / INVALID).read_text() == text
    assert read_result(tmp_path).status == "failed"


@pytest.mark.parametrize("why", ["Crash", "Timeout", "Interrupted"])
def test_a_done_result_stands_however_the_process_ended(tmp_path: Path, why: str) -> None:
    (tmp_path / RESULT).write_text(json.dumps(a_result()))
    before = (tmp_path / RESULT).read_bytes()
    assert final_result(tmp_path, DOCUMENT, ended(why=why, ending=Exit(signal="SIGSEGV"))).status == "done"
    assert (tmp_path / RESULT).read_bytes() == before


def failed(kind: str) -> ExperimentResult:
    failure = {"type": kind, "message": "its own words", "phase": "window"}
    return ExperimentResult.model_validate(a_result(status="failed", failure=failure, passes=3))


def test_what_a_worker_says_of_its_own_failure_stands(tmp_path: Path) -> None:
    (tmp_path / RESULT).write_text(failed("ModelError").model_dump_json())
    assert final_result(tmp_path, DOCUMENT, ended(ending=Exit(code=1))) == failed("ModelError")


def test_a_worker_that_the_study_ended_failed_for_the_studys_reason(tmp_path: Path) -> None:
    (tmp_path / RESULT).write_text(failed("Interrupted").model_dump_json())
    result = final_result(tmp_path, DOCUMENT, ended(why="Timeout", message="too long.", ending=Exit(code=1)))
    assert result == read_result(tmp_path)
    assert result.failure is not None
    assert (result.failure.type, result.failure.message, result.failure.phase) == ("Timeout", "too long.", "window")
    assert result.passes == 3


def test_secrets_are_in_neither_the_result_nor_the_log(tmp_path: Path) -> None:
    secret = "hf_" + "aB3" * 10
    (tmp_path / LOG).write_text(f"a\r\ntoken {secret}\nhttps://me:pa55word@example.org/x\n")
    final_result(tmp_path, DOCUMENT, ended(message=f"refused: {secret}"))
    for name in (RESULT, LOG):
        text = (tmp_path / name).read_text()
        assert secret not in text
        assert "pa55word" not in text
    assert (tmp_path / LOG).read_bytes().startswith(b"a\r\n")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([LOG, RESULT])


def test_a_log_tail_is_bounded_in_lines_and_bytes(tmp_path: Path) -> None:
    log = tmp_path / LOG
    log.write_text("".join(f"line {i}\n" for i in range(1000)))
    assert log_tail(log).splitlines() == [f"line {i}" for i in range(1000 - TAIL_LINES, 1000)]
    log.write_bytes(b"\xff" * 10_000_000)
    assert len(log_tail(log)) == TAIL_BYTES
    log.write_text("loading 1%\rloading 50%\rloading 100%\nnext\n")
    assert log_tail(log) == "loading 100%\nnext"
    assert log_tail(tmp_path / "none") == ""


def test_a_job_directory_that_cannot_be_written_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        final_result(tmp_path / "gone", DOCUMENT, ended())


def test_a_worker_that_could_not_start_is_told_by_the_last_line_of_its_log(tmp_path: Path) -> None:
    (tmp_path / LOG).write_text("Traceback (most recent call last):\nImportError: cannot import name 'x'\n")
    failure = final_result(tmp_path, DOCUMENT, ended(ending=Exit(code=1))).failure
    assert failure is not None
    assert failure.message.endswith("left no result. Its log ends with: ImportError: cannot import name 'x'")
