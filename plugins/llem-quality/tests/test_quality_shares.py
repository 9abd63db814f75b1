"""Shares that were counted, answers that end, and the metrics over both."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem_quality.metrics import accuracy, j_per_correct_answer
from llem_quality.questions import ended
from llem_quality.study_document import _flat, _nested, _together
from llem_quality.wilson import wilson


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [
        # Newcombe, Two-sided confidence intervals for the single proportion, Statistics in Medicine 17 (1998), table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_an_interval_is_as_published(hits: int, of: int, low: float, high: float) -> None:
    assert wilson(hits, of) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 10_000).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
def test_an_interval_holds_its_share_and_turns_with_it(counted: tuple[int, int]) -> None:
    hits, of = counted
    low, high = wilson(hits, of)
    assert 0 <= low <= hits / of <= high <= 1
    assert wilson(of - hits, of) == pytest.approx((1 - high, 1 - low))


@pytest.mark.parametrize(("hits", "of"), [(-1, 3), (4, 3), (0, 0)])
def test_what_is_no_share_has_no_interval(hits: int, of: int) -> None:
    with pytest.raises(ValueError, match="no share"):
        wilson(hits, of)


@pytest.mark.parametrize(
    ("text", "stops", "left"),
    [("7\nso", ["\n"], "7"), ("7", ["\n"], "7"), ("a b c", ["c", "b"], "a "), ("a", [""], "a"), ("\n7", ["\n"], "")],
)
def test_an_answer_ends_before_the_first_stop(text: str, stops: list[str], left: str) -> None:
    assert ended(text, stops) == left


def test_energy_per_correct_answer_is_that_of_the_window() -> None:
    row = {"energy.headline.energy_j": 50.0, "scenario_metrics.correct_answers": 20.0}
    assert j_per_correct_answer(row) == 2.5
    assert j_per_correct_answer({**row, "scenario_metrics.correct_answers": 0.0}) is None
    assert j_per_correct_answer({**row, "energy.headline.energy_j": None}) is None
    assert accuracy({"scenario_metrics.accuracy": 0.25}) == 0.25


def test_experiments_are_written_by_what_sets_them_apart() -> None:
    one = {
        "backend": "pytorch",
        "pytorch": {"dtype": "float32", "compile": {"enabled": True}},
        "model": {"source": "m"},
    }
    other = {"backend": "pytorch", "pytorch": {"compile": {"enabled": True}}, "model": {"source": "m"}}
    found = _together([one, other])
    assert found == {
        "backend": "pytorch",
        "pytorch": {"compile": {"enabled": True}},
        "model": {"source": "m"},
        "experiments": [{"pytorch.dtype": "float32"}, {}],
    }
    assert _nested(dict(_flat(one))) == one
    assert "experiments" not in _together([one])
