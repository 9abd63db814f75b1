"""A worker is alone, and when it has ended nothing of it is left: not a process, not a file, not a variable."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from llem.config.experiment import ExperimentConfig
from llem.config.section import Section
from llem.errors import LlemError
from llem.plugins import default_registry
from llem.runners.environment import worker_environment
from llem.runners.local import LocalJob, LocalRunner
from llem.specs.runner import Job, RunnerContext
from llem_plugin_kit.processes import is_alive

pytestmark = pytest.mark.process

CONFIG = ExperimentConfig.model_construct(backend="testbed", options=Section())
PATIENCE_S = 120.0
"""Time that a busy machine may take for anything."""

LONG = "import time; time.sleep(600)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
)
CHILD = (
    f"import subprocess, sys; c = subprocess.Popen([sys.executable, '-c', {LONG!r}]); print('pid', c.pid, flush=True)"
)
DAEMON = f"""
import os, sys
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print('pid', os.getpid(), flush=True)
        os.execve(sys.executable, [sys.executable, '-c', {LONG!r}], {{}})
    os._exit(0)
os.wait()
"""
"""Leaves the process group, the session and the environment behind, as a daemon does."""

HOST = """
import sys, tempfile, time
from pathlib import Path
from llem.runners.local import LocalJob
from llem.specs.runner import Job
job = Job(directory=Path(sys.argv[1]), config=None, config_hash="")
job = LocalJob([sys.executable, "-c", sys.argv[2]], job, tempfile.mkdtemp(prefix="llem-"))
time.sleep(600)
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], LocalJob]]:
    jobs: list[LocalJob] = []

    def _start(code: str, **environment: str) -> LocalJob:
        job = Job(directory=tmp_path, config=CONFIG, config_hash="0" * 64, environment=environment)
        jobs.append(LocalJob([sys.executable, "-c", code], job, tempfile.mkdtemp(prefix="llem-")))
        return jobs[-1]

    yield _start
    for job in jobs:
        job.stop(0)


def logged(job_dir: Path, word: str) -> str:
    """The text after a word in the log, once the worker has printed it."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        for line in (job_dir / "worker.log").read_text().splitlines(keepends=True):
            if line.startswith(word) and line.endswith("\n"):  # a line may be half written
                return line.removeprefix(word).strip()
        time.sleep(0.01)
    raise AssertionError(f"the worker never printed {word}: {(job_dir / 'worker.log').read_text()}")


def is_gone(pid: int) -> bool:
    return not is_alive(pid)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("print('fine')", (0, None)),
        ("import os; os._exit(7)", (7, None)),
        ("raise ValueError('no')", (1, None)),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", (None, "SIGSEGV")),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", (None, "SIGKILL")),
        ("import os; os.abort()", (None, "SIGABRT")),
        ("import os, signal; os.kill(os.getpid(), 40)", (None, "signal 40")),
    ],
)
def test_an_exit_tells_code_or_signal(
    start: Callable[[str], LocalJob], code: str, expected: tuple[int | None, str | None]
) -> None:
    ending = start(code).wait(PATIENCE_S)
    assert ending is not None
    assert (ending.code, ending.signal) == expected
    assert ending.cause is None


def test_poll_returns_at_once_and_wait_sleeps_its_time_without_work(start: Callable[[str], LocalJob]) -> None:
    job = start(LONG)
    assert job.poll() is None
    before, begin = time.process_time(), time.monotonic()
    assert job.wait(0.5) is None
    assert time.monotonic() - begin >= 0.5
    assert time.process_time() - before < 0.25


def test_a_worker_that_is_asked_to_end_may_clean_up(start: Callable[[str], LocalJob], tmp_path: Path) -> None:
    job = start(
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('cleaned', flush=True), sys.exit(3)))\n"
        "print('ready', flush=True)\n" + LONG
    )
    logged(tmp_path, "ready")
    assert job.stop(30).code == 3
    assert "cleaned" in (tmp_path / "worker.log").read_text()


@pytest.mark.parametrize("grace_s", [0, 0.3])
def test_a_worker_that_will_not_end_is_killed(start: Callable[[str], LocalJob], tmp_path: Path, grace_s: float) -> None:
    job = start(STUBBORN)
    logged(tmp_path, "deaf")
    assert job.stop(grace_s).signal == "SIGKILL"


@pytest.mark.parametrize("code", [CHILD, DAEMON], ids=["child", "daemon"])
@pytest.mark.parametrize("stop", [False, True], ids=["normal end", "stop"])
def test_no_descendant_is_left(start: Callable[[str], LocalJob], tmp_path: Path, code: str, stop: bool) -> None:
    job = start(code + (f"\n{STUBBORN}" if stop else ""))
    pid = int(logged(tmp_path, "pid"))
    if stop:
        logged(tmp_path, "deaf")
    ending = job.stop(0.1) if stop else job.wait(PATIENCE_S)
    assert ending is not None
    assert is_gone(pid)
    assert ending.signal == ("SIGKILL" if stop else None)


def test_what_ends_by_itself_soon_is_not_killed(start: Callable[[str], LocalJob], tmp_path: Path) -> None:
    # The worker ends once the other process is up, so that the start of an interpreter takes nothing from what is soon.
    tidy = (
        "import os, sys, time\nabove = os.getppid()\nos.write(int(sys.argv[1]), b'1')\n"
        "while os.getppid() == above: time.sleep(0.01)\ntime.sleep(0.15)\nprint('tidied', flush=True)"
    )
    code = (
        "import os, subprocess, sys\nup, tell = os.pipe()\n"
        f"subprocess.Popen([sys.executable, '-S', '-c', {tidy!r}, str(tell)], pass_fds=[tell])\nos.read(up, 1)"
    )
    assert start(code).wait(PATIENCE_S)
    assert "tidied" in (tmp_path / "worker.log").read_text()


def test_nothing_is_left_where_the_supervisor_itself_is_killed(
    start: Callable[[str], LocalJob], tmp_path: Path
) -> None:
    job = start(f"{CHILD}\nimport os; print('self', os.getpid(), 'above', os.getppid(), flush=True)\n{LONG}")
    child, worker = int(logged(tmp_path, "pid")), psutil.Process(int(logged(tmp_path, "self").split()[0]))
    os.kill(worker.ppid(), signal.SIGKILL)
    ending = job.wait(PATIENCE_S)
    assert ending is not None
    assert ending.cause is not None
    assert "SIGKILL" in ending.cause
    assert is_gone(worker.pid)
    assert is_gone(child)


def test_no_worker_outlives_a_killed_llem(tmp_path: Path) -> None:
    worker = (
        f"import os, tempfile; print('tmp', tempfile.gettempdir(), flush=True)\n{CHILD}\n"
        f"print('self', os.getpid(), flush=True)\n{STUBBORN}"
    )
    host = subprocess.Popen([sys.executable, "-c", HOST, str(tmp_path), worker])
    end = time.monotonic() + PATIENCE_S
    while not (tmp_path / "worker.log").exists() and time.monotonic() < end:
        time.sleep(0.01)
    logged(tmp_path, "deaf")
    pids = [int(logged(tmp_path, "pid")), int(logged(tmp_path, "self"))]
    scratch = Path(logged(tmp_path, "tmp"))
    host.kill()
    host.wait()
    end = time.monotonic() + PATIENCE_S
    while not (all(map(is_gone, pids)) and not scratch.exists()) and time.monotonic() < end:
        time.sleep(0.01)
    assert [pid for pid in pids if not is_gone(pid)] == []
    assert not scratch.exists()


def test_a_worker_has_its_own_session_an_empty_stdin_and_an_empty_folder(
    start: Callable[[str], LocalJob], tmp_path: Path
) -> None:
    code = (
        "import os, sys, tempfile\n"
        "print('own', os.getsid(0) == os.getpgid(0) == os.getpid())\n"
        "print('stdin', repr(sys.stdin.read()))\n"
        "print('folder', os.listdir('.'), os.path.samefile('.', tempfile.gettempdir()))\n"
        "print('files', sorted(os.listdir('/proc/self/fd')))\n"
        "print('scratch', os.getcwd())\n"
        "open('left-behind', 'w').close()\n"
    )
    assert start(code).wait(PATIENCE_S)
    assert logged(tmp_path, "own") == "True"
    assert logged(tmp_path, "stdin") == "''"
    assert logged(tmp_path, "folder") == "[] True"
    assert logged(tmp_path, "files") == "['0', '1', '2', '3']"  # 3 is the listing itself
    assert not Path(logged(tmp_path, "scratch")).exists()


def test_a_worker_can_be_started_from_a_thread_that_ends(tmp_path: Path) -> None:
    import threading

    jobs: list[LocalJob] = []
    job = Job(directory=tmp_path, config=CONFIG, config_hash="")
    command = [sys.executable, "-c", "import time; time.sleep(0.5); print('fine')"]
    scratch = tempfile.mkdtemp(prefix="llem-")
    thread = threading.Thread(target=lambda: jobs.append(LocalJob(command, job, scratch)))
    thread.start()
    thread.join()
    ending = jobs[0].wait(PATIENCE_S)
    assert ending is not None
    assert ending.code == 0


def test_a_program_that_is_not_there_is_told_in_the_log(tmp_path: Path) -> None:
    job = Job(directory=tmp_path, config=CONFIG, config_hash="")
    ending = LocalJob(["/nowhere/python"], job, tempfile.mkdtemp(prefix="llem-")).wait(PATIENCE_S)
    assert ending is not None
    assert ending.code == 127
    assert "/nowhere/python cannot be started" in (tmp_path / "worker.log").read_text()


def test_a_job_directory_that_is_gone_is_an_error_and_leaves_no_scratch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    with pytest.raises(LlemError, match="cannot be started"):
        LocalRunner(RunnerContext(registry=default_registry())).start(
            Job(directory=tmp_path / "gone", config=CONFIG, config_hash="")
        )
    assert list((tmp_path / "tmp").iterdir()) == []


def test_the_environment_is_the_users_without_what_leaks() -> None:
    inherited = {
        "HOME": "/home/someone",
        "HF_TOKEN": "kept",
        "CUDA_VISIBLE_DEVICES": "1",
        "LOCAL_RANK": "3",
        "WORLD_SIZE": "8",
        "TORCHELASTIC_RUN_ID": "x",
        "PYTHONINSPECT": "1",
        "PYTHONPATH": f"here{os.pathsep}/there",
        "OMP_NUM_THREADS": "4",
    }
    given = worker_environment(inherited, scratch="/scratch", job_id="id", settings={"OMP_NUM_THREADS": "2"})
    assert given == {
        "HOME": "/home/someone",
        "HF_TOKEN": "kept",
        "CUDA_VISIBLE_DEVICES": "1",
        "PYTHONPATH": f"{Path.cwd() / 'here'}{os.pathsep}/there",
        "OMP_NUM_THREADS": "2",
        "PYTHONUNBUFFERED": "1",
        "PYTHONFAULTHANDLER": "1",
        "TMPDIR": "/scratch",
        "TEMP": "/scratch",
        "TMP": "/scratch",
        "LLEM_JOB_ID": "id",
        "LLEM_HOST_PID": str(os.getpid()),
    }


def test_preflight_is_content_here_and_refuses_an_argument() -> None:
    assert list(LocalRunner(RunnerContext(registry=default_registry())).preflight([CONFIG])) == []
    assert [
        f.level for f in LocalRunner(RunnerContext(registry=default_registry(), argument="gpu0")).preflight([CONFIG])
    ] == ["error"]
