"""Whatever a sampler gives, what is no reading is left out, named, and harms no other."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem.measure.readings import counters_of, number, rows_of
from llem.specs.sampler import Reading

GOOD = Reading("a", 100, energy_j=1.0, power_w=2.0, telemetry={"temperature_c": 40})
ANYTHING = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.just(object()))


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (Reading("stranger", 200, power_w=1.0), "none of its devices"),
        (SimpleNamespace(device="a", t_ns="now", energy_j=None, power_w=1.0, telemetry={}), "no time in nanoseconds"),
        (Reading("a", 50, power_w=1.0), "older than the one before"),
        (Reading("a", 5_000_000_000, power_w=1.0), "5 s ahead of the clock"),
        (Reading("a", -5_000_000_000, power_w=1.0), "5 s behind the clock"),
        (Reading("a", 200, power_w=math.nan), "nan"),
        (Reading("a", 200, energy_j="12"), "'12'"),  # type: ignore[arg-type]
        (None, "none of its devices"),
    ],
)
def test_a_reading_that_is_none_is_named_and_the_others_stay(bad: Any, words: str) -> None:
    rows, wrong = rows_of([GOOD, bad], {"a": 3}, {}, 90, 1000)
    assert rows[0] == (3, 100, 1.0, 2.0, {"temperature_c": 40.0})
    assert all(row[2:4] == (None, None) for row in rows[1:])
    assert wrong is not None
    assert words in wrong


@given(st.lists(st.tuples(ANYTHING, ANYTHING, ANYTHING, ANYTHING, ANYTHING)))
def test_no_reading_can_break_the_file_of_readings(given_: list[tuple[Any, ...]]) -> None:
    readings = [SimpleNamespace(device=d, t_ns=t, energy_j=e, power_w=p, telemetry=x) for d, t, e, p, x in given_]
    rows, _ = rows_of(readings, {"a": 0, "": 1}, {}, 90, 1000)
    json.dumps(rows, allow_nan=False)


@given(ANYTHING)
def test_what_is_not_iterable_is_no_list_of_readings(anything: Any) -> None:
    rows, wrong = rows_of(anything, {"a": 0}, {}, 90, 1000)
    assert rows == []
    assert wrong or anything == ""


def test_counters_that_are_no_numbers_are_left_out() -> None:
    told = {"a": (1, 5.0), "b": (1, math.inf), "c": "x", "d": (1.5, 2.0), "stranger": (1, 1.0)}
    assert counters_of(told, {"a": 0, "b": 1, "c": 2, "d": 3}) == {0: (1, 5.0)}
    assert counters_of(None, {"a": 0}) == {}
    assert number(True)[0] is None
