"""Two llem on one study's folder: the second is refused, and a dead one keeps nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from crash.processes import find, kill, wait_for
from crash.study import Study

pytestmark = [pytest.mark.crash, pytest.mark.timeout(600)]


def test_a_second_llem_on_a_folder_is_refused_while_the_first_lives(study: Study, refused: Callable[..., str]) -> None:
    study.start()
    wait_for(lambda: study.folder is not None, "the study has begun")
    assert study.process is not None
    first = study.process
    os.kill(first.pid, signal.SIGSTOP)  # so that it cannot end meanwhile; and one that hangs still holds its study
    try:
        text = refused(study, "resume", str(study.folder))
        assert str(first.pid) in text, text
        assert "another llem" in text, text
        assert "another llem" in refused(study, "resume", str(study.folder), "--retry-failed")
    finally:
        os.kill(first.pid, signal.SIGCONT)
    assert study.settle() == 0
    study.check_complete()


def test_a_killed_llem_keeps_no_lock_also_while_its_worker_still_ends(study: Study) -> None:
    study.start()
    wait_for(lambda: find(study.mark, "worker"), "a worker runs")
    assert study.process is not None
    kill(study.process.pid)
    study.process.wait()
    study.complete()


def test_a_worker_that_outlives_its_llem_does_not_get_into_the_resumed_study(study: Study) -> None:
    study.start()
    wait_for(lambda: find(study.mark, "supervisor") and find(study.mark, "worker"), "a worker runs")
    watcher = find(study.mark, "supervisor")
    assert watcher is not None
    assert study.process is not None
    os.kill(watcher, signal.SIGSTOP)  # so that nothing ends the worker
    kill(study.process.pid)
    study.process.wait()
    study.start()
    try:
        assert study.process.wait(120) == 0, study.said[-1].read_text()
    finally:
        if watcher == find(study.mark, "supervisor"):
            os.kill(watcher, signal.SIGCONT)
    study.settle()
    study.check_complete()
