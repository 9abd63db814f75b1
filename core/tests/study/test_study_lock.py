"""One llem at a time on a study's folder, and nothing that the dead keep."""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from llem.errors import PreflightError
from llem.study.lock import LOCK, Lock, is_held

HOLD = """
import sys, time
from pathlib import Path
from llem.study.lock import Lock
lock = Lock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(600)
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_second_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    with Lock(tmp_path):
        assert is_held(tmp_path)
        with pytest.raises(PreflightError, match="another llem works on this study") as caught:
            Lock(tmp_path)
        assert f"process {os.getpid()} on {platform.node()}" in str(caught.value)
        assert caught.value.exit_code == 3
    assert not is_held(tmp_path)
    Lock(tmp_path).release()


@pytest.mark.process
def test_a_process_that_was_killed_keeps_nothing(tmp_path: Path) -> None:
    process = holder(tmp_path)
    try:
        with pytest.raises(PreflightError, match=f"process {process.pid} on"):
            Lock(tmp_path)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    with Lock(tmp_path) as lock:
        assert lock.doubt is None  # it was on this host, so the kernel knows


def test_a_holder_of_another_host_that_never_closed_leaves_a_doubt(tmp_path: Path) -> None:
    (tmp_path / LOCK).write_text(json.dumps({"host": "elsewhere", "pid": 7, "since": "yesterday"}))
    with Lock(tmp_path) as lock:
        assert lock.doubt is not None
        assert "process 7 on elsewhere" in lock.doubt
        assert "NFS" in lock.doubt
    with Lock(tmp_path) as lock:
        assert lock.doubt is None


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", "\0" * 50])
def test_a_lock_file_that_says_nothing_is_no_hindrance(tmp_path: Path, text: str) -> None:
    (tmp_path / LOCK).write_text(text)
    with Lock(tmp_path) as lock:
        assert lock.doubt is None


@pytest.mark.process
def test_a_forked_process_does_not_keep_the_lock(tmp_path: Path) -> None:
    started, end = multiprocessing.get_context("fork").Event(), multiprocessing.get_context("fork").Event()

    def sleep() -> None:
        started.set()
        end.wait(60)

    lock = Lock(tmp_path)
    child = multiprocessing.get_context("fork").Process(target=sleep)
    child.start()
    try:
        assert started.wait(60)
        assert is_held(tmp_path)
        lock.release()
        assert not is_held(tmp_path)
    finally:
        end.set()
        child.join()


def test_asking_does_not_take_it(tmp_path: Path) -> None:
    assert not is_held(tmp_path)
    assert not (tmp_path / LOCK).exists()
    with Lock(tmp_path):
        for _ in range(3):
            assert is_held(tmp_path)


def test_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(PreflightError, match="cannot be written"):
        Lock(tmp_path / "gone")
