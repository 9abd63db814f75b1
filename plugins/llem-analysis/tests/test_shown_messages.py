"""Warnings and failures as `llem show` prints them."""

from __future__ import annotations

from collections import Counter

from llem_analysis.configurations import Configuration, no_interval
from llem_analysis.study_table import notes

LONG = "others used 84 % of this machine's CPU time " + "x " * 200 + "Repeat it when nothing else runs."


def configuration(**values: object) -> Configuration:
    return Configuration(config_hash=None, backend="b", model="m", point={}, **values)  # type: ignore[arg-type]


def test_a_warning_is_shown_to_its_end_which_says_what_to_do() -> None:
    one = configuration(warnings={"other_load": LONG}, codes=Counter({"other_load": 1}))
    (line,) = [line for line in notes([one]) if "other_load" in line]
    assert LONG in line


def test_a_failure_is_shown_to_its_end_on_one_line() -> None:
    failure: dict[str, str | None] = {"directory": "d", "type": "E", "phase": None, "message": f"a\n{LONG}"}
    (line,) = notes([configuration(failures=[failure])])
    assert line == f"failed: d: E: a {LONG}"


def test_a_message_without_end_is_bounded() -> None:
    failure: dict[str, str | None] = {"directory": "d", "type": "E", "phase": None, "message": "x" * 100_000}
    (line,) = notes([configuration(failures=[failure])])
    assert len(line) < 1_100


def test_fewer_than_three_values_say_why_they_have_no_interval() -> None:
    assert no_interval(1) == "1 value; an interval takes 3 or more"
    assert no_interval(2) == "2 values; an interval takes 3 or more"
    assert no_interval(3) is None
