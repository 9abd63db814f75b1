"""Numbers in sentences."""

from __future__ import annotations

import pytest

from llem_analysis.intervals import Interval
from llem_analysis.wording import amount, as_written, change, change_span, p_text, percent


@pytest.mark.parametrize(
    ("value", "text"), [(0.08731, "0.0873"), (12.34, "12.3"), (1234.5, "1,234"), (0, "0"), (-0.5, "−0.500")]
)
def test_an_amount_has_three_digits_at_least(value: float, text: str) -> None:
    assert amount(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.834, "83 %"),
        (0.004, "0.4 %"),
        (0, "0 %"),
        (0.0001, "< 0.1 %"),
        (0.9999, "> 99.9 %"),
        (1, "100 %"),
        (0.996, "99.6 %"),
    ],
)
def test_a_share_is_rounded_neither_to_nothing_nor_to_all(share: float, text: str) -> None:
    assert percent(share) == text


@pytest.mark.parametrize(
    ("ratio", "text"),
    [(0.2, "−80 %"), (1.5, "+50 %"), (12, "×12.0"), (1.004, "+0.4 %"), (1.00001, "±0.0 %"), (1, "±0.0 %")],
)
def test_a_ratio_is_a_change(ratio: float, text: str) -> None:
    assert change(ratio) == text


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (0.16, 0.18, "−84 % to −82 %"),
        (0.361, 0.363, "−63.9 % to −63.7 %"),
        (1.9, 3.4, "+90 % to ×3.40"),
        (0.99, 1.02, "−1 % to +2 %"),
        (-1.05, 1.97, "−100 % to +97 %"),
    ],
)
def test_an_interval_shows_its_width(low: float, high: float, text: str) -> None:
    assert change_span(Interval(low, high, "t")) == text


def test_values_stand_as_in_yaml() -> None:
    assert [as_written(v) for v in (None, True, 1, 0.5, "x", [1, "a"])] == ["null", "true", "1", "0.5", "x", '[1, "a"]']
    assert as_written({"dataset.n": 10, "dataset.output_tokens": 5}) == "dataset.n: 10, dataset.output_tokens: 5"


def test_a_p_value_is_never_zero() -> None:
    assert p_text(1e-30) == "p < 0.001"
    assert p_text(0.0312) == "p = 0.031"
