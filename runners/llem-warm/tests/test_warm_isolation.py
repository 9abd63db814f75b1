"""Workers forked from a fork server are as isolated as those that are started afresh."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile

import pytest
from warm_bed import Bed, replaced, warm

pytestmark = pytest.mark.process

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


def test_cards_of_any_maker_are_shown_to_workers_of_one_template(bed: Bed) -> None:
    bed.install(replaced())
    above = "int(open(f'/proc/{os.getppid()}/stat').read().rpartition(')')[2].split()[1])"
    tell = warm(f"TOLD = [os.environ.get('ROCR_VISIBLE_DEVICES'), {above}]")
    first, second = (bed.run(tell, ROCR_VISIBLE_DEVICES=card)[1] for card in ("GPU-1", "GPU-2"))
    assert (first[0], second[0]) == ("GPU-1", "GPU-2")
    assert first[1] == second[1]


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
