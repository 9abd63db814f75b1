"""The view of a running study, for any width, height and number of experiments side by side."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem_view.frame import Style, frame
from llem_view.line import Part, columns, cut, line
from llem_view.state import Running, StudyState

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
