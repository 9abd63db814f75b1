"""A results folder that cannot be written, and a disk that is full: at the start, in the middle, and for the worker alone.

A process whose files may not grow (RLIMIT_FSIZE) meets the same error at the same places as one on a full disk.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

pytestmark = pytest.mark.process


def nothing_more() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))


def until(condition: Callable[[], bool]) -> None:
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("it never came to that")


def in_window(folder: Path) -> bool:
    return any('"window"' in path.read_text() for path in folder.glob("results/*/experiments/*/events.jsonl"))


def run_until_window(path: Path, folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "llem", "run", str(path)],
        cwd=folder,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    until(lambda: in_window(folder))
    return process


@pytest.mark.parametrize(
    ("place", "why"),
    [("a-file", "is a file"), ("a-file/below", "is a file"), ("/proc/llem", "/proc cannot be written")],
)
def test_a_place_that_takes_no_folder_is_refused_before_anything_runs(
    llem_here: Any, study: Any, tmp_path: Path, place: str, why: str
) -> None:
    (tmp_path / "a-file").write_text("in the way")
    done = llem_here("run", study(), "--output", place)
    assert done.returncode == 3
    assert "preflight output" in done.stderr
    assert why in done.stderr
    assert "--output" in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a-file", "study.yaml"]


def test_where_the_check_is_left_out_the_folder_itself_says_so(llem_here: Any, study: Any) -> None:
    done = llem_here("run", study(), "--output", "/proc/llem", "--skip-preflight", "output")
    assert done.returncode == 3
    assert "/proc/llem: the results folder cannot be written" in done.stderr


def test_a_disk_that_is_full_at_the_start_is_refused_before_anything_runs(
    llem: Any, study: Any, tmp_path: Path
) -> None:
    done = llem("run", study(), preexec_fn=nothing_more)
    assert done.returncode == 3
    assert "cannot be written: File too large" in done.stderr
    assert not (tmp_path / "results").exists()


def test_a_disk_that_fills_up_stops_the_study_and_keeps_what_is_done(study: Any, tmp_path: Path, read: Any) -> None:
    path = study(sweep={"testbed.token_s": [2, 3]})
    process = run_until_window(path, tmp_path)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, 0))
    out, err = process.communicate(timeout=100)
    assert process.returncode == 1
    assert "Traceback" not in out + err
    folder = read.only_study(tmp_path / "results")
    assert f"{folder}" in err
    assert "can no longer be written: File too large. The study has stopped" in err
    assert "complete" not in out + err
    account = read.manifest(folder)
    assert [e["state"] for e in account["experiments"]] == ["running", "pending"]
    assert list(folder.glob("experiments/00001*/result.json"))


def test_a_worker_that_cannot_write_is_a_failed_experiment(study: Any, tmp_path: Path, read: Any) -> None:
    path = study(testbed={"token_s": 2})
    process = run_until_window(path, tmp_path)
    workers = [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if "llem.worker" in child.cmdline() and "-I" not in child.cmdline()
    ]
    assert workers
    for worker in workers:
        resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (0, 0))
    process.communicate(timeout=100)
    assert process.returncode == 1
    (entry,) = read.manifest(read.only_study(tmp_path / "results"))["experiments"]
    assert entry["state"] == "failed"
    found = entry["failure"]
    assert (found["type"], found["exit_code"], found["phase"]) == ("Crash", 1, "window")
