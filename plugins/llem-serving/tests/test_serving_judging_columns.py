"""Loads judged again from the columns of their tables; values that cannot be are told with their row."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem.errors import ResultError
from llem_serving.config import SloConfig
from llem_serving.judging import judge, rejudge, requests_of
from llem_serving.requests import ServedRequest

S = 1_000_000_000


def columns(**other: list[Any]) -> dict[str, list[Any]]:
    """A table of three requests: two that are answered, and one that is not."""
    return {
        "arrival_s": [0.0, 1.0, 2.0],
        "release_s": [0.001, 1.0, None],
        "first_token_s": [0.1, 1.5, None],
        "end_s": [0.3, 1.7, None],
        "output_tokens": [3, 3, 0],
        "token_s": [[0.1, 0.2, 0.3], [1.5, 1.6, 1.7], None],
        "finish": ["length", "stop", "unanswered"],
        **other,
    }


def test_a_load_is_judged_again_for_other_limits() -> None:
    found = rejudge(columns(), SloConfig(ttft_s=0.2), window_s=3.0, parts=3)
    assert (found.requests, found.good, found.unanswered, found.good_tokens, found.output_tokens) == (3, 1, 1, 3, 6)
    assert rejudge(columns(), SloConfig(ttft_s=0.5), window_s=3.0, parts=3).good == 2
    assert [part.kept for part in found.parts] == [1, 0, 0]


def test_gaps_between_tokens_serve_in_place_of_their_times() -> None:
    table = columns(itl_s=[[0.1, 0.1], [0.1, 0.1], None])
    del table["token_s"]
    (first, second, third) = requests_of(table)
    assert first.token_ns == [100_000_000, 200_000_000, 300_000_000]
    assert second.last_ns == 1_700_000_000
    assert third.token_ns is None


def test_without_times_of_tokens_first_and_last_are_taken() -> None:
    table = columns(e2e_s=[0.25, None, None], sent_s=[0.002, None, None])
    del table["token_s"], table["release_s"]
    (first, second, _) = requests_of(table)
    assert (first.released_ns, first.last_ns, second.last_ns) == (2_000_000, 250_000_000, 1_700_000_000)


def test_tokens_that_the_table_has_counted_are_taken() -> None:
    assert rejudge(columns(window_tokens=[2, 1, 0]), SloConfig(ttft_s=0.2), window_s=3.0, parts=3).good_tokens == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"arrival_s": [0.0, math.nan, 2.0]}, "row 2: arrival_s holds nan"),
        ({"arrival_s": [0.0, None, 2.0]}, "row 2: arrival_s is null"),
        ({"arrival_s": [0.0, "x" * 100, 2.0]}, "row 2: arrival_s holds 'x+…, and no time"),
        ({"arrival_s": [0.0, 1e300, 2.0]}, r"row 2: arrival_s holds 1e\+300"),
        ({"end_s": [0.3, math.inf, None], "token_s": [None] * 3}, "row 2: end_s holds inf"),
        ({"first_token_s": [-5.0, 1.5, None]}, "row 1: first_token_s is before arrival_s"),
        ({"end_s": [0.05, 1.7, None], "token_s": [None] * 3}, "row 1: its last token is before first_token_s"),
        (
            {"first_token_s": [None, 1.5, None], "end_s": [-1.0, 1.7, None], "token_s": [None] * 3},
            "row 1: end is before",
        ),
        ({"output_tokens": [3, -1, 0]}, "row 2: output_tokens is -1"),
        ({"output_tokens": [3, 1.5, 0]}, "row 2: output_tokens is 1.5"),
        ({"output_tokens": [3, True, 0]}, "row 2: output_tokens is True"),
        ({"finish": ["length", "done", "unanswered"]}, "row 2: finish is 'done'"),
        ({"finish": ["length", ["stop"], "unanswered"]}, "row 2: finish is"),
        ({"token_s": [[0.1, 0.3, 0.2], None, None]}, "row 1: its tokens are not in the order"),
        ({"token_s": ["abc", None, None]}, "row 1: token_s is 'abc', and no list"),
        ({"token_s": [[0.1, None], None, None]}, "row 1: token_s holds None"),
        ({"itl_s": [[0.1, -0.1], None, None], "token_s": [None] * 3}, "row 1: its tokens are not in the order"),
        ({"finish": ["length"]}, "different lengths"),
        ({"window_tokens": [1, 4, 0]}, "row 2: window_tokens is more than output_tokens"),
        ({"window_tokens": [1, None, 0]}, "row 2: window_tokens is None"),
    ],
)
def test_a_value_that_cannot_be_is_told_with_its_row(change: dict[str, list[Any]], message: str) -> None:
    with pytest.raises(ResultError, match=message) as told:
        rejudge(columns(**change), SloConfig(), window_s=3.0, parts=3, where="requests.parquet")
    assert str(told.value).startswith("requests.parquet: ")
    assert len(str(told.value)) < 250


def test_a_column_that_is_missing_is_named() -> None:
    table = columns()
    del table["finish"]
    with pytest.raises(ResultError, match="no column finish"):
        rejudge(table, SloConfig(), window_s=3.0, parts=3)


@pytest.mark.parametrize("window_s", [0.0, -1.0, math.nan, math.inf])
def test_a_window_that_cannot_be_is_refused(window_s: float) -> None:
    with pytest.raises(ResultError, match="a window cannot be"):
        rejudge(columns(), SloConfig(), window_s=window_s, parts=3)


@given(
    st.lists(st.tuples(st.integers(-S, 9 * S), st.lists(st.integers(0, S), min_size=1, max_size=5)), max_size=10),
    st.integers(-(2**40), 2**40),
)
def test_a_load_that_was_written_down_is_judged_as_it_was(load: list[tuple[int, list[int]]], opened: int) -> None:
    requests = []
    for number, (start, gaps) in enumerate(load):
        times = [opened + start + sum(gaps[: n + 1]) for n in range(len(gaps))]
        requests.append(
            ServedRequest(
                number, opened + start, None, times[0], times[-1], times, None, len(times), "stop", None, None
            )
        )

    def seconds(at: int) -> float:
        return (at - opened) / 1e9

    table: dict[str, list[Any]] = {
        "arrival_s": [seconds(one.scheduled_ns) for one in requests],
        "first_token_s": [seconds(one.first_ns or 0) for one in requests],
        "end_s": [seconds(one.last_ns or 0) for one in requests],
        "output_tokens": [one.output_tokens for one in requests],
        "token_s": [[seconds(at) for at in one.token_ns or ()] for one in requests],
        "finish": [one.finish for one in requests],
    }
    slo = SloConfig(ttft_s=0.3, tpot_s=0.2, e2e_s=2.0)
    assert rejudge(table, slo, window_s=8.0, parts=4) == judge(requests, slo, opened, opened + 8 * S, 4)
