"""Ctrl+C, once and twice, to a real process that runs a study."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from llem_plugin_kit.processes import is_alive

pytestmark = pytest.mark.process

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts llem in a group of its own, as a shell does."""
    started: list[subprocess.Popen[str]] = []

    def do(*arguments: Any, **options: Any) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "llem", *map(str, arguments)]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        started.append(subprocess.Popen(command, cwd=tmp_path, text=True, start_new_session=True, **pipes, **options))
        return started[-1]

    yield do
    for process in started:
        process.kill()
        process.communicate()


def until(condition: Callable[[], bool]) -> None:
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("it never came to that")


def is_deaf(process: psutil.Process) -> bool:
    """True where a process ignores SIGTERM."""
    with contextlib.suppress(OSError):
        ignored = re.search(r"^SigIgn:\s*(\w+)", Path(f"/proc/{process.pid}/status").read_text(), re.MULTILINE)
        return ignored is not None and bool(int(ignored[1], 16) >> (signal.SIGTERM - 1) & 1)
    return False


def in_window(folder: Path, position: int) -> Callable[[], bool]:
    """Tell whether the experiment at this position has reached its measured window."""
    pattern = f"results/*/experiments/{position:05}*/events.jsonl"
    return lambda: any('"window"' in path.read_text() for path in folder.glob(pattern))


POINTS = [
    {"testbed": {"batch_size": 1}},
    {"testbed": {"token_s": 600}},
    {"testbed": {"batch_size": 3}},
]


def test_the_first_interrupt_ends_the_running_experiment_and_keeps_what_is_done(
    start: Start, study: Any, tmp_path: Path, read: Any
) -> None:
    process = start("run", study(experiments=POINTS))
    until(in_window(tmp_path, 2))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in out + err.replace("  | ", "")
    folder = read.only_study(tmp_path / "results")
    account = read.manifest(folder)
    assert account["state"] == "interrupted"
    assert [e["state"] for e in account["experiments"]] == ["done", "interrupted", "pending"]
    assert account["experiments"][1]["failure"]["type"] == "Interrupted"
    assert [row["status"] for row in read.rows(folder)] == ["done", "failed"]
    assert "interrupted: 1 pending, 1 done, 1 interrupted" in err
    assert f"results: {folder}" in out
    assert "complete" not in out + err


def test_the_second_interrupt_ends_a_worker_that_will_not_end(
    start: Start, study: Any, tmp_path: Path, read: Any
) -> None:
    process = start("run", study(testbed={"fail": "hang"}))
    until(in_window(tmp_path, 1))
    until(lambda: any(map(is_deaf, psutil.Process(process.pid).children(recursive=True))))
    workers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    assert process.returncode == 130
    account = read.manifest(read.only_study(tmp_path / "results"))
    assert account["state"] == "interrupted"
    assert account["experiments"][0]["failure"]["signal"] == "SIGKILL"
    until(lambda: not any(is_alive(worker.pid) for worker in workers))


HANGS = """
import time
from llem.hookspecs import hookimpl
@hookimpl
def llem_experiment_finished(study_dir, job_dir, result):
    (study_dir / "hanging").touch()
    time.sleep(3600)
"""


def test_the_second_interrupt_does_not_wait_for_a_plugin_that_hangs(
    start: Start, study: Any, install: Any, tmp_path: Path, read: Any
) -> None:
    process = start("run", study(sweep={"testbed.batch_size": [1, 2]}), env=install("llem-hangs", HANGS))
    until(lambda: any(tmp_path.glob("results/*/hanging")))
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    assert process.returncode == 130
    account = read.manifest(read.only_study(tmp_path / "results"))
    assert [e["state"] for e in account["experiments"]] == ["done", "pending"]
    assert account["state"] == "interrupted"


def test_an_interrupt_in_a_gap_ends_the_study(start: Start, study: Any, tmp_path: Path, read: Any) -> None:
    process = start("run", study(sweep={"testbed.batch_size": [1, 2]}, execution={"experiment_gap_s": 3600}))
    assert process.stderr is not None
    for line in process.stderr:
        if "pause of 1 h" in line:
            break
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    assert process.returncode == 130
    account = read.manifest(read.only_study(tmp_path / "results"))
    assert [e["state"] for e in account["experiments"]] == ["done", "pending"]
    assert account["state"] == "interrupted"


def test_a_signal_to_the_whole_group_does_the_same(start: Start, study: Any, tmp_path: Path, read: Any) -> None:
    process = start("run", study(testbed={"token_s": 600}))
    until(in_window(tmp_path, 1))
    os.killpg(process.pid, signal.SIGTERM)
    process.communicate(timeout=120)
    assert process.returncode == 130
    assert read.manifest(read.only_study(tmp_path / "results"))["state"] == "interrupted"


def test_a_study_that_is_killed_leaves_a_valid_manifest_and_results_that_can_be_rebuilt(
    start: Start, study: Any, tmp_path: Path, read: Any, llem: Any
) -> None:
    process = start("run", study(experiments=POINTS))
    until(in_window(tmp_path, 2))
    process.kill()
    process.communicate()
    folder = read.only_study(tmp_path / "results")
    account = read.manifest(folder)
    assert [e["state"] for e in account["experiments"]] == ["done", "running", "pending"]
    shown = llem("show", folder)
    assert shown.returncode == 0
    assert "1 done" in shown.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    "module",
    ["llem.cli.invoke", "llem.plugins", "llem.config.layers", "llem.plan", "llem.preflight.run", "llem.study.folder"],
)
def test_a_signal_at_any_instant_before_the_study_runs_ends_llem_with_130(
    number: signal.Signals, module: str, study: Any, tmp_path: Path
) -> None:
    """The signal comes while this module is imported: stages of the way from the first line to the study's loop."""
    path = study(experiments=POINTS)
    code = (
        "import os, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}:\n"
        "            sys.meta_path.remove(self)\n"
        f"            os.kill(os.getpid(), {int(number)})\n"
        f"            os.kill(os.getpid(), {int(number)})\n"
        "sys.meta_path.insert(0, Finder())\n"
        f"sys.argv = ['llem', 'run', {str(path)!r}, '--skip-preflight', 'governor', '--skip-preflight', 'load']\n"
        "from llem.cli import main\n"
        "sys.exit(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 130, done.stderr
    assert "llem: interrupted." in done.stderr
    assert "Traceback" not in done.stderr


def test_under_nohup_the_end_of_the_terminal_ends_nothing(study: Any, tmp_path: Path) -> None:
    path = study(experiments=POINTS[:1])
    code = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        f"sys.argv = ['llem', 'run', {str(path)!r}, '--dry-run']\n"
        "from llem.cli import main\n"
        "import llem.cli.invoke as invoke\n"
        "before = invoke.invoke\n"
        "invoke.invoke = lambda args: (os.kill(os.getpid(), signal.SIGHUP), before(args))[1]\n"
        "sys.exit(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 0, done.stderr
