"""The view of a running study, for any width, height and number of experiments side by side."""

from __future__ import annotations

import io
import os
import re
import threading
from pathlib import Path
from typing import Any, TextIO

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem.progress import TextReporter
from llem.progress.frame import Style, frame
from llem.progress.line import Part, columns, cut, line
from llem.progress.state import Running, StudyState

PLAIN = Style(colours=False)
WINDOW = {"event": "progress", "done": 48, "total": 96, "unit": "requests", "tokens_per_s": 312.4}


def under_way(count: int = 1, **changes: Any) -> StudyState:
    """A study of 24 with so many under way, each for 41 seconds in its window at 213 W."""
    state = StudyState(0.0, name="backends", total=24, finished=7, left=(1500.0, 100.0), **changes)
    for number in range(8, 8 + count):
        one = state.running[number] = Running(number, f"pytorch.batch_size={number}", 0.0)
        one.take({"event": "phase", "name": "window", "state": "start"}, 59.0)
        one.take(WINDOW, 99.0)
        one.take({"event": "power", "power_w": 213.4, "estimated": False}, 99.5)
    return state


def shown(state: StudyState, width: int = 100, height: int = 30) -> list[str]:
    return frame(state, 100.0, width, height, PLAIN)


def test_one_experiment_has_its_settings_and_its_figures() -> None:
    assert shown(under_way(failed=1)) == [
        "backends  ━━━━━━━─────────────────  7/24 ended  1 failed  about 25 min left",
        "[8/24]  pytorch.batch_size=8",
        "window  48/96 requests  312 tokens/s  213 W  for 41 s",
    ]


def test_an_interrupted_experiment_is_counted_as_such_and_not_as_failed(tmp_path: Path) -> None:
    said = io.StringIO()
    reporter = TextReporter(said)
    reporter.study_started(tmp_path, 2)
    for number in (1, 2):
        reporter.experiment_started(number, "a", tmp_path)
    reporter.experiment_finished(1, {"status": "failed", "failure": {"type": "Interrupted", "message": "by the user."}})
    reporter.experiment_finished(2, {"status": "failed", "failure": {"type": "Crash", "message": "signal 11."}})
    assert re.search(r"\[1/2\].*: interrupted$", said.getvalue(), re.MULTILINE)
    assert re.search(r"\[2/2\].*: failed: Crash: signal 11\.$", said.getvalue(), re.MULTILINE)
    assert "7/24 ended  1 failed  1 interrupted" in shown(under_way(failed=1, interrupted=1))[0]


def test_several_have_a_line_each_and_more_than_fit_are_counted() -> None:
    lines = shown(under_way(3))
    assert re.match(r"backends  .*  3 running", lines[0])
    assert lines[2] == "[9/24]  window  48/96 requests  312 tokens/s  213 W  for 41 s  pytorch.batch_size=9"
    assert shown(under_way(16), height=10)[-1] == "and 9 more"
    assert len(shown(under_way(16), height=100)) == 13


def test_what_matters_least_gives_way_where_there_is_no_room() -> None:
    assert shown(under_way(), width=40) == [
        "backends  7/24 ended  about 25 min left",
        "[8/24]  pytorch.batch_size=8",
        "window  48/96 requests  213 W",
    ]
    assert shown(under_way(), width=13) == ["7/24 ended", "[8/24]  pyto…", "window  213 W"]
    assert shown(under_way(), height=3, width=60) == ["[8/24]  window  48/96 requests  213 W  about 25 min left"]


@given(
    count=st.integers(0, 20),
    width=st.integers(1, 200),
    height=st.integers(1, 40),
    label=st.text(max_size=30),
    pause=st.booleans(),
    colours=st.booleans(),
)
def test_no_line_is_wider_than_the_terminal_and_the_first_row_is_left_free(
    count: int, width: int, height: int, label: str, pause: bool, colours: bool
) -> None:
    state = under_way(count, pause=(30.0, "between cycles", 90.0) if pause else None)
    for one in state.running.values():
        one.label = label
    lines = frame(state, 100.0, width, height, Style(colours=colours), hint="; Enter skips it")
    assert len(lines) <= max(1, height - 1)
    for text in lines:
        bare = re.sub(r"\x1b\[\d+m", "", text)
        assert columns(bare) <= width
        assert bare.isprintable()


def test_power_that_was_told_long_ago_is_no_longer_shown_and_an_estimate_is_marked() -> None:
    state = under_way()
    assert "W" not in frame(state, 120.0, 100, 30, PLAIN)[2]
    state.running[8].take({"event": "power", "power_w": 12.0, "estimated": True}, 120.0)
    assert "~12.0 W" in frame(state, 120.0, 100, 30, PLAIN)[2]


@pytest.mark.parametrize("lie", ["many", [], None, True, float("nan"), float("inf"), 10**400])
def test_what_a_container_tells_may_be_anything(lie: object) -> None:
    state = under_way()
    state.running[8].take(
        {"event": "progress", "done": lie, "total": lie, "tokens_per_s": lie, "unit": lie, "what": lie}, 100.0
    )
    state.running[8].take({"event": "power", "power_w": lie}, 100.0)
    assert len(shown(state)) == 3


def test_a_part_of_a_phase_is_named_in_its_place() -> None:
    state = under_way()
    (one,) = state.running.values()
    ramp = {"event": "progress", "phase": "settle", "what": "ramp", "done": 4, "total": 10, "unit": "s"}
    assert one.take({"event": "phase", "name": "settle", "state": "start"}, 60.0)
    assert one.take(ramp, 70.0)
    assert not one.take({**ramp, "done": 5}, 71.0)
    assert "ramp" in shown(state)[2]
    assert "5/10 s" in shown(state)[2]
    assert one.take({"event": "phase", "name": "window", "state": "start"}, 80.0)
    assert "ramp" not in shown(state)[2]


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


def test_a_pause_counts_down_and_says_how_to_end_it() -> None:
    state = under_way(0, pause=(30.0, "between cycles", 90.0))
    assert frame(state, 100.0, 100, 30, PLAIN, hint="; Enter skips it")[-1] == (
        "pause of 20 s (between cycles); Enter skips it"
    )


def test_time_left_is_counted_down_from_what_was_told_else_from_the_estimate() -> None:
    assert under_way().left_s(200.0) == 1400.0
    assert StudyState(10.0, estimate_s=60.0).left_s(30.0) == 40.0
    assert StudyState(10.0, estimate_s=60.0).left_s(300.0) == 0.0
    assert StudyState(10.0).left_s(30.0) is None
    assert under_way(0, pause=(3600.0, "between cycles", 2000.0)).left_s(2100.0) == 3500.0, "no less than the pause"


def test_a_study_that_goes_on_counts_what_had_ended_before() -> None:
    state = StudyState(0.0, total=24)
    assert state.ended == 0
    state.running[15] = Running(15, "", 0.0)
    assert state.ended == 14


def test_wide_characters_and_marks_take_the_columns_that_they_take() -> None:
    assert [columns(text) for text in ("abc", "模型", "é", "e\u0301")] == [3, 4, 1, 1]
    assert cut("模型模型", 5) == "模型…"
    assert line([Part("a\x1b[2Jb\n")], 80, colours=False) == "a [2Jb "


def test_a_study_that_may_end_with_fewer_says_up_to_how_many() -> None:
    stream = io.StringIO()
    with TextReporter(stream) as reporter:
        reporter.study_started(Path("results/demo"), 6, at_most=True)
        reporter.study_started(Path("results/demo"), 1, at_most=True)
        reporter.study_started(Path("results/demo"), 6)
    assert stream.getvalue().splitlines() == [
        f"{count}, results in results/demo" for count in ("up to 6 experiments", "up to 1 experiment", "6 experiments")
    ]


def test_what_was_taken_out_of_a_queue_has_neither_failed_nor_ended() -> None:
    stream = io.StringIO()
    with TextReporter(stream) as reporter:
        reporter.study_started(Path("results/demo"), 2)
        reporter.experiment_started(1, "a=1", Path("nowhere"))
        reporter.experiment_finished(1, {"status": "failed", "failure": {"type": "Withdrawn", "message": "needless"}})
        assert (reporter._state.finished, reporter._state.failed) == (0, 0)
    assert stream.getvalue().splitlines()[-1] == "[1/2] a=1: taken out of the queue"


def break_off(stream: TextIO) -> None:
    """Tell the begin of a study, and end in the middle of it."""
    with TextReporter(stream) as reporter:
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
