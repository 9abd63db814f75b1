"""The live view: its counts of a study, and what it leaves on a terminal."""

from __future__ import annotations

import io
import os
import re
import threading
from pathlib import Path
from typing import TextIO

import pyte
import pytest

from llem_view.frame import Style, frame
from llem_view.live import LiveReporter, open_view


def live(stream: TextIO) -> LiveReporter:
    return LiveReporter(stream, in_notebook=False, verbose=False, estimate_s=None)


def first_line(reporter: LiveReporter) -> str:
    return frame(reporter._state, 0.0, 100, 30, Style(colours=False))[0]


def test_an_interrupted_experiment_is_counted_as_such_and_not_as_failed(tmp_path: Path) -> None:
    stream = io.StringIO()
    with live(stream) as reporter:
        reporter.study_started(tmp_path / "a-1", 3)
        for number in (1, 2):
            reporter.experiment_started(number, "a", tmp_path)
        reporter.experiment_finished(
            1, {"status": "failed", "failure": {"type": "Interrupted", "message": "by the user."}}
        )
        reporter.experiment_finished(2, {"status": "failed", "failure": {"type": "Crash", "message": "signal 11."}})
        assert "2/3 ended  1 failed  1 interrupted" in first_line(reporter)
    assert re.search(r"\[1/3\].*: interrupted$", stream.getvalue(), re.MULTILINE)
    assert re.search(r"\[2/3\].*: failed: Crash: signal 11\.$", stream.getvalue(), re.MULTILINE)


def test_what_was_taken_out_of_a_queue_has_neither_failed_nor_ended() -> None:
    with live(io.StringIO()) as reporter:
        reporter.study_started(Path("results/demo-1"), 2)
        reporter.experiment_started(1, "a=1", Path("nowhere"))
        reporter.experiment_finished(1, {"status": "failed", "failure": {"type": "Withdrawn", "message": "needless"}})
        assert (reporter._state.finished, reporter._state.failed) == (0, 0)


def test_the_time_left_is_learned_from_what_has_ended_and_from_what_is_spared() -> None:
    with live(io.StringIO()) as reporter:
        reporter.study_started(Path("results/demo-1"), 4)
        reporter.ahead(4, 2)
        left = []
        for number in (1, 2):
            reporter.experiment_started(number, "a=1", Path("nowhere"))
            left.append(reporter._state.left)
            reporter.experiment_finished(number, {"status": "done"})
            left.append(reporter._state.left)
        assert left[0] is None
        assert all(one is not None for one in left[1:])
        for _ in range(2):
            reporter.spared("a=2")
        reporter._learn(1e9)
        assert reporter._state.left == (0.0, 1e9)


def test_what_is_no_terminal_has_no_view() -> None:
    assert open_view(io.StringIO(), verbose=False, estimate_s=None) is None


def break_off(stream: TextIO) -> None:
    """Tell the begin of a study, and end in the middle of it."""
    with live(stream) as reporter:
        reporter.study_started(Path("results/demo-20260101T120000Z"), 2)
        reporter.experiment_started(1, "a=1", Path("nowhere"))
        reporter.event(1, {"event": "phase", "name": "load", "state": "start"})
        reporter.message("info", "something to say")
        raise ZeroDivisionError


def test_a_reporter_whose_study_breaks_off_leaves_a_clean_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, on a terminal of its own, with what the worker tells coming from events."""
    screen = pyte.Screen(60, 20)
    stream = pyte.ByteStream(screen)
    master, slave = os.openpty()
    monkeypatch.setenv("TERM", "xterm")

    def read() -> None:
        while True:
            try:
                data = os.read(master, 65536)
            except OSError:
                return
            stream.feed(data)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        with open(slave, "w", encoding="utf-8", newline="") as terminal, pytest.raises(ZeroDivisionError):  # noqa: PTH123
            break_off(terminal)
    finally:
        reader.join(120)
        os.close(master)
    assert [row.rstrip() for row in screen.display if row.strip()] == [
        "2 experiments, results in results/demo-20260101T120000Z",
        "something to say",
    ]
