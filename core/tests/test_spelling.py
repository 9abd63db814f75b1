"""The word that was meant, and no word where none is like it."""

from __future__ import annotations

import pytest

from llem.spelling import closest, likeness


@pytest.mark.parametrize(
    ("word", "at_least", "expected"),
    [("pytroch", 0.6, "pytorch"), ("vllm", 0.6, "vllm"), ("zzz", 0.6, None), ("vlm", 0.95, None), ("", 0.6, None)],
)
def test_the_closest_known_word_is_told_where_it_is_close_enough(
    word: str, at_least: float, expected: str | None
) -> None:
    assert closest(word, ["vllm", "pytorch", "openai"], at_least) == expected


def test_nothing_is_close_where_nothing_is_known() -> None:
    assert closest("vllm", []) is None


def test_likeness_is_a_share() -> None:
    assert likeness("abcd", "abcd") == 1
    assert likeness("abcd", "bcde") == pytest.approx(0.75)
    assert likeness("ab", "cd") == 0
