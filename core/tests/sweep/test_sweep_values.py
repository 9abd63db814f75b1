"""The forms of an axis."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem.sweep.values import AxisError, parse_values


def listed(written: Any, **options: Any) -> list[Any]:
    values = parse_values(written, **options)
    return [values[i] for i in range(len(values))]


@pytest.mark.parametrize(
    ("written", "values"),
    [
        ([1, 2, 4], [1, 2, 4]),
        ([True, None, "x", {"a": 1}], [True, None, "x", {"a": 1}]),
        ({"min": 0.1, "max": 0.5, "num": 5}, [0.1, 0.2, 0.3, 0.4, 0.5]),
        ({"min": 1, "max": 10, "num": 4}, [1, 4, 7, 10]),
        ({"min": 1, "max": 2, "num": 3}, [1.0, 1.5, 2.0]),
        ({"min": 7, "max": 7, "num": 1}, [7]),
        ({"log": [1, 1000, 4]}, [1, 10, 100, 1000]),
        ({"log": {"min": 0.001, "max": 1, "num": 4}}, [0.001, 0.01, 0.1, 1.0]),
        ({"pow2": [1, 64]}, [1, 2, 4, 8, 16, 32, 64]),
        ({"pow2": [8, 8]}, [8]),
    ],
)
def test_each_form_gives_its_values(written: Any, values: list[Any]) -> None:
    found = listed(written)
    assert found == values
    assert list(map(type, found)) == list(map(type, values))


def test_a_range_of_a_field_of_whole_numbers_is_rounded_to_them() -> None:
    assert listed({"min": 1, "max": 10, "num": 3}, whole=True) == [1, 6, 10]
    assert listed({"log": [1, 100, 4]}, whole=True) == [1, 5, 22, 100]


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (5, "a single value belongs outside"),
        ("abc", "a single value belongs outside"),
        (None, "a single value belongs outside"),
        ({}, "a mapping is no axis"),
        ({"batch_size": [1]}, "a mapping is no axis"),
        ({"min": 1, "max": 2}, "num is missing"),
        ({"min": 1, "max": 2, "num": 2, "step": 1}, "`step` is none of them"),
        ({"min": 3, "max": 2, "num": 2}, "above max"),
        ({"min": 2, "max": 2, "num": 3}, "would be the same"),
        ({"min": math.nan, "max": 2, "num": 2}, "finite"),
        ({"min": 0, "max": math.inf, "num": 2}, "finite"),
        ({"min": True, "max": 2, "num": 2}, "finite number"),
        ({"min": "1", "max": 2, "num": 2}, "finite number"),
        ({"min": 0, "max": 1, "num": 2.5}, "whole number"),
        ({"min": 0, "max": 1, "num": -1}, "whole number"),
        ({"min": 0, "max": 1, "num": 10**16}, "more than any study"),
        ({"log": [0, 10, 3]}, "above 0"),
        ({"log": [1, 10]}, "three numbers"),
        ({"log": 3}, "takes [min, max, num]"),
        ({"pow2": [1, 63]}, "two powers of two"),
        ({"pow2": [64, 1]}, "two powers of two"),
        ({"pow2": 8}, "two powers of two"),
    ],
)
def test_what_is_no_axis_is_refused_with_the_reason(written: Any, words: str) -> None:
    with pytest.raises(AxisError, match=words.replace("[", r"\[")):
        parse_values(written)


@given(
    low=st.integers(-1000, 1000),
    span=st.integers(1, 1000),
    num=st.integers(2, 50),
    scale=st.sampled_from([1, 0.1, 1e-6]),
)
def test_a_linear_range_has_both_ends_equal_steps_and_rises(low: int, span: int, num: int, scale: float) -> None:
    first, last = low * scale, (low + span) * scale
    values = listed({"min": first, "max": last, "num": num})
    assert len(values) == num
    assert (values[0], values[-1]) == (first, last)
    steps = [b - a for a, b in pairwise(values)]
    assert all(math.isclose(step, (last - first) / (num - 1), rel_tol=1e-6) for step in steps)


@given(low=st.floats(1e-6, 1e3), ratio=st.floats(1.01, 1e6), num=st.integers(2, 30))
def test_a_logarithmic_range_has_both_ends_and_equal_ratios(low: float, ratio: float, num: int) -> None:
    values = listed({"log": [low, low * ratio, num]})
    assert (values[0], values[-1]) == (low, low * ratio)
    ratios = [b / a for a, b in pairwise(values)]
    assert all(math.isclose(r, ratio ** (1 / (num - 1)), rel_tol=1e-9) for r in ratios)
