"""Processes that a killed llem left on this machine are ended before its study is resumed, and no others are."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from llem.runners import leftovers
from llem.runners.leftovers import reclaim

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


@pytest.fixture
def job(tmp_path: Path) -> Path:
    folder = tmp_path / "study" / "experiments" / "one"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    found: list[subprocess.Popen[bytes]] = []
    yield found
    for process in found:
        process.kill()
        process.wait()


@pytest.mark.process
def test_a_process_that_still_writes_a_jobs_log_is_ended(
    job: Path, tmp_path: Path, started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "_PATIENCE_S", 0.3)
    with (job / "worker.log").open("ab") as log:
        started.append(subprocess.Popen(SLEEP, stdout=log, stderr=log))
        started.append(subprocess.Popen(SLEEP, stdout=subprocess.DEVNULL, stderr=log))
    with (job / "server.log").open("ab") as log:
        started.append(subprocess.Popen(SLEEP, stdout=log, stderr=log))
    with (job / "worker.log").open("rb") as reader, (tmp_path / "worker.log").open("ab") as other:
        started.append(subprocess.Popen(SLEEP, stdin=reader, stdout=subprocess.DEVNULL))  # somebody looks at the log
        started.append(subprocess.Popen(SLEEP, stdout=other))  # another log of that name
    said = list(reclaim(tmp_path / "study"))
    assert said == ["ended 3 process(es) that an earlier run of this study left behind."]
    assert [process.poll() for process in started] == [-9, -9, -9, None, None]


@pytest.mark.process
def test_one_that_ends_by_itself_is_waited_for_and_not_mentioned(
    job: Path, tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    with (job / "worker.log").open("ab") as log:
        started.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(0.5)"], stdout=log))
    assert list(reclaim(tmp_path / "study")) == []
    assert started[0].wait(60) == 0


def test_a_study_without_leftovers_says_nothing(tmp_path: Path) -> None:
    assert list(reclaim(tmp_path)) == []
