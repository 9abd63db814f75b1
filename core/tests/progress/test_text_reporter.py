"""The words of a running study, a line for each event."""

from __future__ import annotations

import io
import re
from pathlib import Path

from llem.progress import TextReporter


def test_an_interrupted_experiment_is_told_as_such_and_not_as_failed(tmp_path: Path) -> None:
    said = io.StringIO()
    reporter = TextReporter(said)
    reporter.study_started(tmp_path, 2)
    for number in (1, 2):
        reporter.experiment_started(number, "a", tmp_path)
    reporter.experiment_finished(1, {"status": "failed", "failure": {"type": "Interrupted", "message": "by the user."}})
    reporter.experiment_finished(2, {"status": "failed", "failure": {"type": "Crash", "message": "signal 11."}})
    assert re.search(r"\[1/2\].*: interrupted$", said.getvalue(), re.MULTILINE)
    assert re.search(r"\[2/2\].*: failed: Crash: signal 11\.$", said.getvalue(), re.MULTILINE)


def test_without_a_view_each_part_of_a_phase_is_a_line() -> None:
    stream = io.StringIO()
    with TextReporter(stream) as reporter:
        reporter.study_started(Path("s-1"), 1)
        reporter.experiment_started(1, "load.rate_rps=2", Path("s-1"))
        reporter.event(1, {"event": "phase", "name": "settle", "state": "start"})
        for done in (1, 2):
            reporter.event(1, {"event": "progress", "what": "ramp", "done": done, "total": 2, "unit": "s"})
        reporter.event(
            1, {"event": "progress", "what": "waiting for a steady state", "done": 1, "total": 9, "unit": "s"}
        )
    assert stream.getvalue().splitlines()[-3:] == [
        "[1/1] load.rate_rps=2: settle",
        "[1/1] load.rate_rps=2: ramp",
        "[1/1] load.rate_rps=2: waiting for a steady state",
    ]


def test_a_study_that_may_end_with_fewer_says_up_to_how_many() -> None:
    stream = io.StringIO()
    with TextReporter(stream) as reporter:
        reporter.study_started(Path("results/demo"), 6, at_most=True)
        reporter.study_started(Path("results/demo"), 1, at_most=True)
        reporter.study_started(Path("results/demo"), 6)
    assert stream.getvalue().splitlines() == [
        f"{count}, results in results/demo" for count in ("up to 6 experiments", "up to 1 experiment", "6 experiments")
    ]


def test_what_was_taken_out_of_a_queue_is_told_as_that() -> None:
    stream = io.StringIO()
    with TextReporter(stream) as reporter:
        reporter.study_started(Path("results/demo"), 2)
        reporter.experiment_started(1, "a=1", Path("nowhere"))
        reporter.experiment_finished(1, {"status": "failed", "failure": {"type": "Withdrawn", "message": "needless"}})
    assert stream.getvalue().splitlines()[-1] == "[1/2] a=1: taken out of the queue"


class Above:
    """A view that keeps the lines which it was told to print above it."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def typed(self, newlines: int) -> None:
        raise AssertionError("nobody types here")


def test_above_a_view_only_what_stays_is_printed() -> None:
    above, stream = Above(), io.StringIO()
    with TextReporter(stream, above=above) as reporter:
        reporter.study_started(Path("s-1"), 2)
        reporter.experiment_started(1, "a=1", Path("s-1"))
        reporter.event(1, {"event": "phase", "name": "idle_baseline", "state": "start"})
        reporter.event(1, {"event": "message", "level": "warning", "text": "a word\x1b[2J"})
        reporter.experiment_finished(1, {"status": "done"})
        reporter.gap(30.0, "between experiments")
    assert above.said == ["2 experiments, results in s-1", "warning: a word\\u001b[2J", "[1/2] a=1: done"]
    assert stream.getvalue() == ""
