"""An engine's processes: signs that they work, and their end."""

from __future__ import annotations

import subprocess
import sys
import threading

import psutil
import pytest

from llem_engines.processes import Descendants, below, kill, signs_of_life
from llem_plugin_kit.processes import is_alive

pytestmark = pytest.mark.process

SLEEP = "import time; time.sleep(600)"
PARENT = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {SLEEP!r}]).pid, flush=True); {SLEEP}"
BUSY = "while True: pass"


def start(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def test_what_was_started_since_is_ended_also_where_its_parent_was_killed_and_what_was_there_before_is_not() -> None:
    before = start(SLEEP)
    try:
        descendants = Descendants()
        parent = start(PARENT)
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        descendants.look()
        parent.kill()
        parent.wait()
        descendants.end(grace_s=0.1)
        assert not is_alive(child)
        assert is_alive(before.pid)
        parent.stdout.close()
    finally:
        before.kill()
        before.wait()
        assert before.stdout is not None
        before.stdout.close()


def test_processes_that_were_killed_have_ended_when_the_call_returns() -> None:
    started = [start(SLEEP), start(SLEEP)]
    kill([psutil.Process(one.pid) for one in started], 30)
    assert not [one.pid for one in started if is_alive(one.pid)]
    assert below(started[0].pid) == []
    for one in started:
        assert one.stdout is not None
        one.stdout.close()
        one.wait()


def test_a_process_that_computes_is_told_again_and_again() -> None:
    busy, said, twice = start(BUSY), list[str](), threading.Event()

    def say(text: str) -> None:
        said.append(text)
        if len(said) > 2:
            twice.set()

    try:
        with signs_of_life(say, "grinding", busy.pid, every_s=0.2):
            assert twice.wait(60)
    finally:
        busy.kill()
        busy.wait()
        assert busy.stdout is not None
        busy.stdout.close()
    assert said[0] == "grinding"
    assert said[1].startswith("grinding (")
