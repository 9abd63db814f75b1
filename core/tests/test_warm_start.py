"""Workers forked from a template: as isolated as those that are started afresh, and watched over in the same way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from llem.config.experiment import ExperimentConfig
from llem.config.section import Section
from llem.runners.local import LocalRunner
from llem.runners.template import DEVICES
from llem.specs.runner import Exit, Job, RunnerContext

CONFIG = ExperimentConfig.model_construct(backend="probing", options=Section())

PLUGIN = """
from dataclasses import replace
import llem_testbed
from llem.hookspecs import hookimpl

@hookimpl
def llem_backends():
    (testbed,) = llem_testbed.llem_backends()
    return [replace(testbed, name="probing", engine="probing_engine:Engine", preload=PRELOAD)]
"""

ENGINE = """
import os
from llem_testbed import TestbedEngine as Engine
IMPORTED_IN = os.getpid()
ALLOCATED = []
BEGINNING
"""

WORKER = """
import json, os, runpy, sys
def main(arguments):
    sys.stdout.flush()
    try:
        runpy.run_path(os.path.join(arguments[0], "do.py"), run_name="done")
    except SystemExit as end:
        return end.code or 0
    return 0
"""
"""In place of `llem.worker`: runs what the test has put into the job directory."""


class Bed:
    """A folder of plugins whose engine tests write, and a runner that starts workers warm."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder, self._monkeypatch = folder, monkeypatch
        self._count = 0
        self.runner: LocalRunner | None = None

    def install(self, beginning: str = "", preload: tuple[str, ...] = ()) -> None:
        """Make the engine's module, with this code at its beginning, and a runner for it."""
        site = self._folder / "site"
        (site / "probing-1.0.dist-info").mkdir(parents=True)
        (site / "probing-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: probing\nVersion: 1.0\n")
        (site / "probing-1.0.dist-info" / "entry_points.txt").write_text("[llem]\nprobing = probing_plugin\n")
        (site / "probing_plugin.py").write_text(PLUGIN.replace("PRELOAD", repr(preload)))
        (site / "probing_engine.py").write_text(ENGINE.replace("BEGINNING", beginning))
        replaced = f"import types\nmodule = types.ModuleType('llem.worker')\nexec({WORKER!r}, module.__dict__)\n"
        replaced += f"module.__file__ = {str(site / 'worker.py')!r}\nimport llem\nllem.worker = module\n"
        replaced += "import sys\nsys.modules['llem.worker'] = module\n"
        (site / "replaced_worker.py").write_text(replaced)
        self._monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), os.environ["PYTHONPATH"]]))
        self.runner = LocalRunner(RunnerContext(backend="probing", warm_start=True))

    def start(self, code: str, **environment: str) -> tuple[Any, Path]:
        """A worker that runs this code in place of an experiment; the job and its directory."""
        self._count += 1
        job_dir = self._folder / f"job{self._count}"
        job_dir.mkdir()
        (job_dir / "do.py").write_text(f"import json, os, sys\nJOB_DIR = {str(job_dir)!r}\n{code}\n")
        assert self.runner is not None
        job = Job(directory=job_dir, config=CONFIG, config_hash="0" * 64, environment=environment)
        return self.runner.start(job), job_dir

    def run(self, code: str, **environment: str) -> tuple[Exit, Any, str]:
        """The same, to its end: how it ended, what it told, its log."""
        running, job_dir = self.start(code, **environment)
        ending = running.wait(60)
        assert ending is not None
        told = job_dir / "told.json"
        log = (job_dir / "worker.log").read_text()
        return ending, json.loads(told.read_text()) if told.exists() else None, log

    def close(self) -> None:
        if self.runner is not None:
            self.runner.close()


TELL = "json.dump(TOLD, open(os.path.join(JOB_DIR, 'told.json'), 'w'))"


@pytest.fixture
def bed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bed]:
    made = Bed(tmp_path, monkeypatch)
    yield made
    made.close()


def replaced(beginning: str = "") -> str:
    """The engine's beginning that puts the test's worker in place."""
    return f"import replaced_worker\n{beginning}"


def warm(code: str) -> str:
    """Tell what this code leaves in TOLD, and that the worker was forked."""
    return f"{code}\n{TELL}\nassert os.environ['LLEM_START'] == 'forked', os.environ['LLEM_START']"


STATE = """
import random, signal, tempfile, threading, resource, gc
import probing_engine
names = ("TMPDIR", "TEMP", "TMP", "LLEM_JOB_ID")
TOLD = {
    "environment": {k: v for k, v in os.environ.items() if k not in names},
    "path": sys.path[1:],
    "allocated": len(probing_engine.ALLOCATED),
    "extra": hasattr(probing_engine, "LEAKED"),
    "files": sorted(os.listdir("/proc/self/fd")),
    "threads": [thread.name for thread in threading.enumerate()],
    "tasks": len(os.listdir("/proc/self/task")),
    "children": open(f"/proc/self/task/{os.getpid()}/children").read(),
    "signals": [str(signal.getsignal(n)) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)],
    "mask": sorted(int(n) for n in signal.pthread_sigmask(signal.SIG_BLOCK, ())),
    "umask": os.umask(0o22),
    "nice": os.nice(0),
    "core": resource.getrlimit(resource.RLIMIT_CORE),
    "listing": os.listdir("."),
    "inside": [os.path.samefile(".", tempfile.gettempdir()), os.getcwd() == os.environ["TMPDIR"] == sys.path[0]],
    "session": os.getsid(0) == os.getpgid(0) == os.getpid(),
    "recursion": sys.getrecursionlimit(),
    "gc": gc.isenabled(),
    "main": sys.modules["__main__"].__name__,
}
DRAWN = {"random": random.random(), "cwd": os.getcwd(), "pid": os.getpid(), "imported": probing_engine.IMPORTED_IN}
TOLD = {"state": TOLD, "drawn": DRAWN}
"""

POLLUTE = """
import random, signal, threading, time, gc
import probing_engine
os.environ["LEAKED"] = "1"
sys.path.append("/leaked")
probing_engine.ALLOCATED.extend(range(1000)); probing_engine.LEAKED = True
left_open = open("/dev/null"); kept = os.dup(0)
threading.Thread(target=time.sleep, args=(600,), daemon=True, name="leaked").start()
signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
os.umask(0o77); os.nice(1); os.chdir("/")
random.seed(7); sys.setrecursionlimit(5000); gc.disable()
open(os.path.join(os.environ["TMPDIR"], "leaked"), "w").close()
"""


def test_nothing_of_an_experiment_reaches_the_next(bed: Bed) -> None:
    bed.install(replaced())
    ending, before, log = bed.run(warm(STATE))
    assert ending.code == 0, log
    assert bed.run(POLLUTE)[0].code == 0
    _, after, _ = bed.run(warm(STATE))
    assert after["state"] == before["state"]
    assert after["state"]["tasks"] == 1
    assert after["state"]["children"] == ""
    assert after["state"]["files"] == ["0", "1", "2", "3"]  # 3 is the listing itself
    assert after["state"]["inside"] == [True, True]
    assert after["state"]["listing"] == []
    assert after["state"]["session"] is True
    assert after["drawn"]["random"] != before["drawn"]["random"]
    assert after["drawn"]["cwd"] != before["drawn"]["cwd"]
    assert after["drawn"]["pid"] != before["drawn"]["pid"]
    assert after["drawn"]["imported"] == before["drawn"]["imported"] != after["drawn"]["pid"]


def test_a_forked_worker_finds_what_one_that_is_started_afresh_finds(bed: Bed) -> None:
    bed.install(replaced())
    _, forked, log = bed.run(warm(STATE))
    assert forked is not None, log
    code = f"import replaced_worker, json, os, sys\nJOB_DIR = os.getcwd()\n{STATE}\nprint(json.dumps(TOLD))"
    from llem.runners.environment import worker_environment

    with tempfile.TemporaryDirectory() as scratch:
        environment = worker_environment(
            os.environ, scratch=scratch, job_id="0" * 32, settings={"LLEM_START": "forked"}
        )
        fresh = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            cwd=scratch,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
        )
    spawned = json.loads(fresh.stdout)["state"]
    apart = {"main", "files", "path", "session", "inside", "listing"}  # of `-c` and of the folder's own
    assert {k: v for k, v in forked["state"].items() if k not in apart} == {
        k: v for k, v in spawned.items() if k not in apart
    }


def test_variables_of_a_job_are_its_own(bed: Bed) -> None:
    bed.install(replaced())
    tell = warm("TOLD = [os.environ.get(name) for name in ('CUDA_VISIBLE_DEVICES', 'LLEM_NODE_EXCLUSIVE')]")
    assert bed.run(tell, CUDA_VISIBLE_DEVICES="GPU-1", LLEM_NODE_EXCLUSIVE="0")[1] == ["GPU-1", "0"]
    assert bed.run(tell, CUDA_VISIBLE_DEVICES="GPU-2")[1] == ["GPU-2", None]
    assert bed.run(tell)[1] == [None, None]


def test_a_variable_that_an_import_may_have_read_makes_a_new_template(bed: Bed) -> None:
    bed.install(replaced("SEEN = os.environ.get('OMP_NUM_THREADS')"))
    tell = warm("import probing_engine\nTOLD = [probing_engine.SEEN, probing_engine.IMPORTED_IN]")
    first, second, third = (bed.run(tell, OMP_NUM_THREADS=count)[1] for count in ("1", "2", "2"))
    assert [first[0], second[0], third[0]] == ["1", "2", "2"]
    assert first[1] != second[1] == third[1]


ENDS: dict[str, tuple[int | None, str | None]] = {
    "sys.exit(0)": (0, None),
    "sys.exit(7)": (7, None),
    "os._exit(9)": (9, None),
    "import signal; os.kill(os.getpid(), signal.SIGSEGV)": (None, "SIGSEGV"),
    "import signal; os.kill(os.getpid(), signal.SIGKILL)": (None, "SIGKILL"),
    "os.abort()": (None, "SIGABRT"),
    "raise ValueError('no')": (1, None),
}


def test_an_exit_tells_code_or_signal(bed: Bed) -> None:
    bed.install(replaced())
    endings = {code: bed.run(code)[0] for code in ENDS}
    assert {code: (ending.code, ending.signal) for code, ending in endings.items()} == ENDS
    assert {ending.cause for ending in endings.values()} == {None}


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
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


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
    template = psutil.Process(logged(job_dir)).ppid()
    os.kill(template, signal.SIGKILL)
    ending = running.wait(60)
    assert ending is not None
    assert ending.code == 5
    until(lambda: is_gone(template))
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
    template = psutil.Process(pid)
    assert template.num_threads() == 1
    files = [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    assert not [name for name in files if name.startswith(DEVICES)]


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
    bed: Bed, beginning: str, reason: str
) -> None:
    bed.install(beginning)
    assert bed.runner is not None
    running, job_dir = bed.start("")
    environment = next(
        process.environ()
        for process in psutil.process_iter()
        if _words(process)[1:4] == ["-m", "llem.worker", str(job_dir)]
    )
    running.wait(60)
    assert environment["LLEM_START"].startswith("spawned: the template of probing cannot be used")
    assert reason in environment["LLEM_START"]


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
