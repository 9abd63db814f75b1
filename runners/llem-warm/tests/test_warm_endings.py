"""Workers forked from a fork server are watched over like those that are started afresh."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from warm_bed import CONFIG, TELL, Bed, replaced, warm

from llem.plugins import default_registry
from llem.specs.runner import Job
from llem_plugin_kit.processes import is_alive
from llem_warm.fork_server import traces_of

pytestmark = pytest.mark.process

CHILDREN = """
import subprocess, time, signal
spawned = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid
daemon = os.fork()
if daemon == 0:
    os.setsid()
    time.sleep(600)
print("self", os.getpid(), "above", os.getppid(), flush=True)
TOLD = [spawned, daemon, os.getpid()]
signal.signal(signal.SIGTERM, signal.SIG_IGN)
"""


def logged(job_dir: Path, name: str = "told.json") -> Any:
    for _ in range(6000):
        try:
            return json.loads((job_dir / name).read_text())
        except (OSError, ValueError):
            time.sleep(0.01)
    raise AssertionError((job_dir / "worker.log").read_text())


def is_gone(pid: int) -> bool:
    return not is_alive(pid)


def until(condition: Callable[[], bool]) -> None:
    for _ in range(6000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it never came to that")


@pytest.mark.parametrize("stop", [False, True], ids=["normal end", "stop"])
def test_no_descendant_is_left(bed: Bed, stop: bool) -> None:
    bed.install(replaced())
    running, job_dir = bed.start(f"{CHILDREN}\n{TELL}" + ("\ntime.sleep(600)" if stop else ""))
    pids = logged(job_dir)
    ending = running.stop(0.2) if stop else running.wait(60)
    assert ending.signal == ("SIGKILL" if stop else None)
    assert all(map(is_gone, pids))


def test_nothing_is_left_where_the_supervisor_is_killed(bed: Bed) -> None:
    bed.install(replaced())
    running, job_dir = bed.start(f"{CHILDREN}\nTOLD.append(os.getppid())\n{TELL}\ntime.sleep(600)")
    *pids, supervisor = logged(job_dir)
    os.kill(supervisor, signal.SIGKILL)
    ending = running.wait(60)
    assert ending is not None
    assert "SIGKILL" in (ending.cause or "")
    assert all(map(is_gone, pids))


def test_workers_outlive_their_template_and_the_next_is_started_afresh(bed: Bed) -> None:
    bed.install(replaced())
    running, job_dir = bed.start(f"import time\nTOLD = os.getppid()\n{TELL}\ntime.sleep(1)\nsys.exit(5)")
    fork_server = psutil.Process(logged(job_dir)).ppid()
    os.kill(fork_server, signal.SIGKILL)
    ending = running.wait(60)
    assert ending is not None
    assert ending.code == 5
    until(lambda: is_gone(fork_server))
    assert bed.runner is not None
    job = Job(directory=job_dir, config=CONFIG, config_hash="")
    last = bed.runner.start(job).wait(60)  # by the real worker, which finds no experiment there
    assert last is not None
    assert last.code == 2


def test_a_template_ends_with_its_runner(bed: Bed) -> None:
    bed.install(replaced())
    _, parents, _ = bed.run(warm("import psutil\nTOLD = [p.pid for p in psutil.Process().parents()[:2]]"))
    assert not is_gone(parents[1])
    bed.close()
    assert all(map(is_gone, parents))


def test_a_template_has_one_thread_and_no_device_open(bed: Bed) -> None:
    bed.install(replaced())
    _, pid, _ = bed.run(warm("import psutil\nTOLD = psutil.Process().parents()[1].pid"))
    fork_server = psutil.Process(pid)
    assert fork_server.num_threads() == 1
    files = [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    assert not [name for name in files if name.startswith(traces_of(default_registry()).files)]


@pytest.mark.parametrize(
    ("beginning", "reason"),
    [
        (
            "import threading, time; threading.Thread(target=time.sleep, args=(600,), daemon=True).start()",
            "started 1 thread(s)",
        ),
        ("raise RuntimeError('no such engine')", "no such engine"),
        ("import os; os._exit(3)", "ended while it imported"),
    ],
    ids=["thread", "error", "exit"],
)
def test_where_nothing_can_be_forked_the_worker_is_started_afresh_and_told_why(
    bed: Bed, tmp_path: Path, beginning: str, reason: str
) -> None:
    bed.install(beginning)
    note = tmp_path / "start.txt"
    running, _ = bed.start("", NOTE_START=str(note))
    assert running.wait(60) is not None
    start = note.read_text()
    assert start.startswith("spawned: the fork server of probing cannot be used")
    assert reason in start
