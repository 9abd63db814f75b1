"""llem in a real pseudo-terminal: what stands on the screen while a study runs, and when it has ended."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from terminals import Terminal

pytestmark = pytest.mark.process

TWO = {"testbed.batch_size": [1, 2]}
ENDLESS = {"token_s": 600}
TESTMETER = Path(__file__).parents[3] / "tests" / "testmeter"
VIEW = re.compile(r"\d+/\d+ ended|for \d+ s|Enter skips it|(?<![━─])[━─]{24}(?![━─])")
"""Text that only the view prints."""


Start = Callable[..., Terminal]


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    opened: list[Terminal] = []
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("PYTHONUTF8", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TESTMETER), os.environ["PYTHONPATH"]]))

    def start(*arguments: Any, columns: int = 110) -> Terminal:
        opened.append(Terminal([str(a) for a in arguments], tmp_path, columns))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def metered(study: Any, **changes: Any) -> Path:
    """A study on the meter that always tells 50 W."""
    measurement = {"min_window_s": 0, "settle_s": 0, "samplers": ["testmeter"]}
    path: Path = study(measurement=measurement, **changes)
    return path


def test_the_view_shows_study_experiment_phase_watts_and_time_left_whatever_the_width(
    terminal: Start, study: Any, read: Any, tmp_path: Path
) -> None:
    baseline = {"enabled": True, "duration_s": 3, "resident_s": 0, "cache": False}
    at = terminal("run", metered(study, sweep=TWO, testbed=ENDLESS, baseline=baseline))
    at.until(
        r"^quick ", r"(?<![━─])[━─]{24}(?![━─])  0/2 ended", r"\[1/2\]  testbed\.batch_size=1$", r"^idle baseline  \d"
    )
    at.until(r"^window .* 50\.0 W  for \d+ s$", r"0/2 ended  about .* left$")
    for columns in (36, 20, 110):
        at.resize(columns)
        at.next_drawing()
        at.next_drawing()
        assert at.screen.count("[1/2]") == 1, at.screen
        assert at.screen.count("0/2 ended") == 1, at.screen
        assert re.search(r"^window .*50\.0 W", at.screen, re.MULTILINE) or columns == 20, at.screen
        assert at.rows[-1].startswith("window"), "nothing of it was broken into a further row"
    at.type(b"\x03")
    assert at.end() == 130
    assert VIEW.search(at.screen) is None, at.screen
    assert "Traceback" not in at.seen
    assert "interrupted: 1 pending, 1 interrupted, in " in at.screen
    assert read.manifest(read.only_study(tmp_path / "results"))["state"] == "interrupted"


def test_at_the_end_only_lines_are_left(terminal: Start, study: Any) -> None:
    at = terminal("run", study(sweep=TWO, testbed={"token_s": 0.3}))
    assert at.end() == 0
    assert re.search(r"1/2 ended", at.seen)
    assert VIEW.search(at.screen) is None, at.screen
    order = [r"^2 experiments, results in", r"^\[1/2\] .*: done: ", r"^\[2/2\] .*: done: ", r"^complete: 2 done, in "]
    found = [next((i for i, row in enumerate(at.rows) if re.search(pattern, row)), -1) for pattern in order]
    assert -1 not in found, at.screen
    assert found == sorted(found)
    place = next(i for i, row in enumerate(at.rows) if row.startswith("results: "))
    assert place > found[-1]
    assert re.fullmatch(r"results: /\S+/results/quick-\w+", "".join(at.rows[place:])), (
        at.screen
    )  # broken where it is long


def test_control_c_twice_ends_what_will_not_end(terminal: Start, study: Any, read: Any, tmp_path: Path) -> None:
    at = terminal("run", study(testbed={"fail": "hang"}))
    at.until(r"^window ")
    at.type(b"\x03")
    at.read(0.5)
    at.type(b"\x03")
    assert at.end() == 130
    assert "Traceback" not in at.seen
    assert VIEW.search(at.screen) is None, at.screen
    account = read.manifest(read.only_study(tmp_path / "results"))
    assert account["state"] == "interrupted"
    assert account["experiments"][0]["failure"]["signal"] == "SIGKILL"


def test_enter_skips_a_gap_and_what_was_typed_before_does_not(terminal: Start, study: Any) -> None:
    slow_first = [{"testbed": {"batch_size": size, "token_s": second}} for size, second in ((1, 1.0), (2, 0), (3, 0))]
    at = terminal("run", study(experiments=slow_first, execution={"experiment_gap_s": 3600}))
    at.until(r"\[1/3\]", r"^window ")
    at.type(b"\n")
    for done in ("1/3 ended", "2/3 ended"):
        at.until(done, r"^pause of (1 h|59 min \d+ s) \(between experiments\); Enter skips it$")
        at.until(done, r"^pause of 59 min 5\d s")
        at.type(b"\n")
    assert at.end() == 0
    assert re.search(r"^\[3/3\] .*batch_size=3.*: done", at.screen, re.MULTILINE)
    assert "pause of" not in at.screen


def test_an_error_in_the_middle_leaves_no_view_behind(terminal: Start, study: Any, tmp_path: Path) -> None:
    at = terminal("run", study(sweep=TWO, execution={"experiment_gap_s": 3600}))
    at.until(r"Enter skips it")
    (folder,) = (tmp_path / "results").iterdir()
    folder.rename(tmp_path / "moved")
    at.type(b"\n")
    assert at.end() not in (0, 130)
    assert VIEW.search(at.screen) is None, at.screen
    assert "llem: " in at.screen


@pytest.mark.parametrize(("variable", "value"), [("TERM", "dumb"), ("TERM", None), ("quiet", None)])
def test_a_terminal_that_can_only_print_and_a_quiet_one_get_plain_lines(
    terminal: Start, study: Any, monkeypatch: pytest.MonkeyPatch, variable: str, value: str | None
) -> None:
    arguments = ["run", study(sweep=TWO)]
    if variable == "quiet":
        arguments.append("--quiet")
    elif value is None:
        monkeypatch.delenv(variable)
    else:
        monkeypatch.setenv(variable, value)
    at = terminal(*arguments)
    assert at.end() == 0
    assert "\x1b" not in at.seen
    assert ("[1/2] testbed.batch_size=1: window" in at.seen) == (variable != "quiet")
    assert re.search(r"^complete: 2 done, in ", at.screen, re.MULTILINE)


def test_without_colour_the_view_is_the_same(terminal: Start, study: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    at = terminal("run", study(testbed=ENDLESS))
    at.until(r"0/1 ended", r"^window ")
    at.type(b"\x03")
    assert at.end() == 130
    assert re.search(r"\x1b\[\d*m", at.seen) is None
    assert "\x1b[J" in at.seen
