"""One llem at a time measures on a machine, and two that do know of each other."""

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

import pytest

from llem.errors import PreflightError
from llem.study.machine_lock import ALONE, BESIDE, MachineLock, lock_folder

Llem = Callable[..., Any]

HOLDER = """
import sys, time
from pathlib import Path
from llem.study.machine_lock import MachineLock
lock = MachineLock("the-other", Path(sys.argv[1]))
print(lock.share() if sys.argv[2] == "share" else lock.take(), flush=True)
time.sleep(120)
"""


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Starts another process that has the machine of this folder, alone or shared."""
    running: list[subprocess.Popen[str]] = []

    def start(how: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", HOLDER, str(tmp_path), how]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        assert running[-1].stdout is not None
        assert running[-1].stdout.readline() == "None\n"
        return running[-1]

    yield start
    for one in running:
        one.kill()
        one.wait()


@pytest.mark.process
def test_the_second_is_told_who_has_the_machine_and_gets_it_after_a_kill(
    tmp_path: Path, other: Callable[[str], subprocess.Popen[str]]
) -> None:
    running = other("take")
    lock = MachineLock("mine", tmp_path)
    who = lock.take()
    assert who is not None
    assert f"process {running.pid}" in who
    assert "study the-other" in who
    assert "since 20" in who
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert lock.take() is None
    assert lock.others() is None
    lock.release()
    lock.release()


@pytest.mark.process
def test_who_measures_alone_sees_whoever_comes_beside(
    tmp_path: Path, other: Callable[[str], subprocess.Popen[str]]
) -> None:
    lock = MachineLock("mine", tmp_path)
    assert lock.take() is None
    running = other("share")
    who = lock.others()
    assert who is not None
    assert f"process {running.pid}" in who
    running.kill()
    running.wait()
    assert lock.others() is None
    lock.release()


@pytest.mark.process
def test_who_comes_beside_sees_whoever_measures_alone_and_each_other(
    tmp_path: Path, other: Callable[[str], subprocess.Popen[str]]
) -> None:
    lock = MachineLock("mine", tmp_path)
    lock.share()
    assert lock.others() is None
    beside = other("share")
    assert lock.others() is not None
    beside.kill()
    beside.wait()
    assert lock.others() is None
    lock.release()
    alone = other("take")
    late = MachineLock("late", tmp_path)
    late.share()
    who = late.others()
    assert who is not None
    assert f"process {alone.pid}" in who
    late.release()


@pytest.mark.process
def test_nobody_has_the_machine_alone_while_others_share_it(
    tmp_path: Path, other: Callable[[str], subprocess.Popen[str]]
) -> None:
    running = other("share")
    lock = MachineLock("mine", tmp_path)
    assert lock.take() is not None
    running.kill()
    running.wait()
    assert lock.take() is None
    lock.release()


@pytest.mark.process
def test_a_fork_neither_holds_nor_frees_the_machine(tmp_path: Path) -> None:
    lock = MachineLock("mine", tmp_path)
    assert lock.take() is None
    child = os.fork()
    if child == 0:
        time.sleep(1)
        os._exit(0)
    second = MachineLock("second", tmp_path)
    assert second.take() is not None
    lock.release()
    assert second.take() is None
    second.release()
    os.waitpid(child, 0)


def test_every_user_may_lock_whatever_the_first_one_s_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        MachineLock("mine", tmp_path).release()
    finally:
        os.umask(before)
    assert {oct((tmp_path / name).stat().st_mode & 0o777) for name in (ALONE, BESIDE)} == {"0o666"}


@pytest.mark.parametrize("trap", ["link", "fifo", "second name", "folder"])
def test_what_somebody_else_put_in_its_place_is_refused_and_left_alone(tmp_path: Path, trap: str) -> None:
    target = tmp_path / "precious"
    target.write_text("precious")
    folder = tmp_path / "locks"
    folder.mkdir()
    place = folder / ALONE
    if trap == "link":
        place.symlink_to(target)
    elif trap == "fifo":
        os.mkfifo(place)
    elif trap == "second name":
        place.hardlink_to(target)
    else:
        place.mkdir()
    with pytest.raises(PreflightError) as raised:
        MachineLock("mine", folder)
    assert "LLEM_LOCK_DIR" in str(raised.value)
    assert target.read_text() == "precious"


@pytest.mark.process
def test_a_holder_that_somebody_made_up_reaches_no_terminal(
    tmp_path: Path, other: Callable[[str], subprocess.Popen[str]]
) -> None:
    other("take")
    (tmp_path / ALONE).write_text(json.dumps({"pid": 1, "host": "\x1b[2J", "study": "x", "since": "\r"}))
    who = MachineLock("mine", tmp_path).take()
    assert who is not None
    assert who.isprintable()


def test_the_folder_is_the_one_that_is_named_else_one_that_all_users_share(tmp_path: Path) -> None:
    assert lock_folder({"LLEM_LOCK_DIR": str(tmp_path)}) == tmp_path
    assert lock_folder({"TMPDIR": str(tmp_path)}) in (Path("/run/lock"), Path("/tmp"))


STUDY = """
model: random:tiny-llama
backend: testbed
dataset: {name: synthetic, n: 2, input_tokens: 4, output_tokens: 4}
measurement: {min_window_s: 0, settle_s: 0}
warmup: {enabled: false}
baseline: {enabled: false}
"""


def warnings_of(folder: Path) -> dict[str, str]:
    (file,) = folder.glob("results/*/experiments/*/result.json")
    return {w["code"]: w["message"] for w in json.loads(file.read_text())["warnings"]}


@pytest.mark.process
def test_a_second_llem_says_who_measures_waits_and_goes_on(
    tmp_path: Path, other: Callable[[str], subprocess.Popen[str]]
) -> None:
    holder = other("take")
    (tmp_path / "study.yaml").write_text(STUDY)
    environment = {**os.environ, "LLEM_LOCK_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "llem", "run", "study.yaml"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as waiting:
        assert waiting.stderr is not None
        said = ""
        while "waiting until it has ended" not in said:
            line = waiting.stderr.readline()
            assert line, said
            said += line
        assert f"process {holder.pid}" in said
        assert "--allow-shared" in said
        assert not (tmp_path / "results").exists()
        assert waiting.poll() is None
        holder.kill()
        said = waiting.stderr.read()
    assert waiting.returncode == 0, said
    assert "the machine is free" in said
    assert "machine_shared" not in warnings_of(tmp_path)


def test_with_allow_shared_it_runs_beside_and_the_result_says_so(
    tmp_path: Path, llem: Llem, other: Callable[[str], subprocess.Popen[str]]
) -> None:
    holder = other("take")
    (tmp_path / "study.yaml").write_text(STUDY)
    environment = {**os.environ, "LLEM_LOCK_DIR": str(tmp_path)}
    done = llem("run", "study.yaml", "--allow-shared", env=environment)
    assert done.returncode == 0, done.stderr
    assert f"process {holder.pid}" in warnings_of(tmp_path)["machine_shared"]


@pytest.mark.process
def test_ctrl_c_ends_the_waiting_and_leaves_nothing(
    tmp_path: Path, other: Callable[[str], subprocess.Popen[str]]
) -> None:
    other("take")
    (tmp_path / "study.yaml").write_text(STUDY)
    environment = {**os.environ, "LLEM_LOCK_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "llem", "run", "study.yaml"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as waiting:
        assert waiting.stderr is not None
        while "waiting until" not in waiting.stderr.readline():
            assert waiting.poll() is None
        waiting.send_signal(signal.SIGINT)
        said = waiting.stderr.read()
    assert waiting.returncode == 130
    assert "Traceback" not in said
    assert not (tmp_path / "results").exists()


def test_what_preflight_found_of_the_machine_is_in_the_result(
    tmp_path: Path, llem: Llem, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    (tmp_path / "sitecustomize.py").write_text("import os\nos.getloadavg = lambda: (999.0, 999.0, 999.0)\n")
    path = os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]])
    done = llem("run", "study.yaml", env={**os.environ, "PYTHONPATH": path})
    assert done.returncode == 0, done.stderr
    assert "load average 999.0" in warnings_of(tmp_path)["machine_busy"]
