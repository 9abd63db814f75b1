"""Ctrl+C once and twice, and SIGKILL to llem, to its supervisor and to Apptainer itself: nothing of a container is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

pytestmark = [pytest.mark.apptainer, pytest.mark.timeout(600)]

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(command: Callable[..., list[str]], sif: Path, environ: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """Starts `llem run` of two experiments, and returns when the first one generates."""
    begun: list[subprocess.Popen[str]] = []

    def _start(**settings: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command(sif, execution__cycles=2, **settings),
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=environ,
        )
        begun.append(process)
        wait_until(lambda: '"window"' in _events(tmp_path))
        return process

    yield _start
    for process in begun:
        if process.poll() is None:
            process.kill()
            process.communicate()


def _events(folder: Path) -> str:
    return "".join(path.read_text() for path in folder.glob("results/*/experiments/*/events.jsonl"))


def wait_until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.05)


def session_of(folder: Path) -> int:
    """The session that all processes of the container are in, on this side."""
    return int(next(folder.glob("results/*/experiments/*/apptainer.session")).read_text())


def alive_in(session: int) -> list[psutil.Process]:
    """Processes of a session."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (OSError, psutil.Error):
            continue
    return found


def manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(next(folder.glob("results/*/manifest.json")).read_text())
    return found


def test_one_interrupt_stops_the_container_within_its_grace(
    start: Start, tmp_path: Path, environ: dict[str, str]
) -> None:
    process = start(measurement__min_window_s=600)
    session = session_of(tmp_path)
    assert len(alive_in(session)) >= 3
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    assert alive_in(session) == []
    assert [entry["state"] for entry in manifest(tmp_path)["experiments"]] == ["interrupted", "pending"]
    result = json.loads(next(tmp_path.glob("results/*/experiments/*/result.json")).read_text())
    assert (result["status"], result["failure"]["type"]) == ("failed", "Interrupted")
    assert "testbed closed" in next(tmp_path.glob("results/*/experiments/*/worker.log")).read_text()
    assert list(Path(environ["TMPDIR"]).iterdir()) == []


def test_a_second_interrupt_does_not_wait_for_a_worker_that_is_deaf(start: Start, tmp_path: Path) -> None:
    process = start(testbed__fail="hang")
    session = session_of(tmp_path)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    time.sleep(0.7)
    assert process.poll() is None
    assert alive_in(session)
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    assert time.monotonic() - begin < 8, "it waited for the worker's whole grace"
    assert alive_in(session) == []


def test_a_killed_llem_takes_its_container_along_and_is_resumed(
    start: Start, tmp_path: Path, environ: dict[str, str]
) -> None:
    process = start(measurement__min_window_s=5)
    session = session_of(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    wait_until(lambda: not alive_in(session), 30)
    (folder,) = (tmp_path / "results").iterdir()
    done = subprocess.run(
        [sys.executable, "-m", "llem", "resume", str(folder)], env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [entry["state"] for entry in manifest(tmp_path)["experiments"]] == ["done", "done"]
    assert not list(folder.glob("experiments/*/apptainer*"))
    assert list(Path(environ["TMPDIR"]).iterdir()) == []


@pytest.mark.parametrize("victim", ["supervisor", "apptainer"])
def test_whoever_else_is_killed_the_experiment_has_failed_and_nothing_is_left(
    start: Start, tmp_path: Path, victim: str
) -> None:
    process = start(measurement__min_window_s=30, execution__timeout_s=600)
    session = session_of(tmp_path)
    leader = psutil.Process(session)
    (psutil.Process(leader.ppid()) if victim == "supervisor" else leader).kill()
    wait_until(lambda: list(tmp_path.glob("results/*/experiments/*/result.json")))
    wait_until(lambda: not alive_in(session), 30)
    result = json.loads(next(tmp_path.glob("results/*/experiments/*/result.json")).read_text())
    assert (result["status"], result["failure"]["type"]) == ("failed", "Crash")
    if victim == "supervisor":
        assert "the process that watches over the worker was ended (SIGKILL)" in result["failure"]["message"]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)


def test_when_llem_and_its_supervisor_are_killed_the_container_ends_and_a_resume_clears_the_rest(
    start: Start, tmp_path: Path, environ: dict[str, str]
) -> None:
    process = start(measurement__min_window_s=5)
    session = session_of(tmp_path)
    supervisor = psutil.Process(psutil.Process(session).ppid())
    supervisor.suspend()  # or it would act on llem's death
    process.kill()
    process.communicate()
    supervisor.kill()
    wait_until(lambda: not [one for one in alive_in(session) if "fuse" not in one.name()], 30)
    (folder,) = (tmp_path / "results").iterdir()
    done = subprocess.run(
        [sys.executable, "-m", "llem", "resume", str(folder)], env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert alive_in(session) == []
    assert not list(folder.glob("experiments/*/apptainer*"))
