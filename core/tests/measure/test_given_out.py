"""Tokens count where they were given out, and the table of a load that did not wait for answers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from llem.measure.given_out import count_given_out, tokens_within
from llem.measure.latency import Timing, timings
from llem.measure.requests_table import COLUMNS, SERVED_COLUMNS, write_served
from llem.specs.backend import Request, RequestRecord
from llem.specs.scenario import Answer, Unanswered

S = 10**9


def answered(
    arrived: int,
    tokens: Sequence[int],
    *,
    number: int = 0,
    pieces: bool = False,
    per_piece: int = 1,
    sent: int | None = None,
) -> Answer:
    record = RequestRecord(
        id=number,
        input_tokens=5,
        output_tokens=len(tokens) * per_piece,
        start_ns=arrived + 1,
        end_ns=tokens[-1],
        finish="length",
        token_ns=None if pieces else tuple(tokens),
        piece_ns=tuple(tokens) if pieces else None,
    )
    request = Request(id=number, output_tokens=len(tokens) * per_piece, prompt="a b c d e")
    return Answer(1, number + 1, arrived, tokens[-1] + 1, [request], [record], None, None, sent)


def one(*given: object, **more: object) -> Timing:
    return timings([answered(*given, **more)])[0]  # type: ignore[arg-type]


def test_a_token_counts_in_the_window_in_which_it_was_given_out() -> None:
    row = one(0, [1 * S, 2 * S, 3 * S, 4 * S])
    assert tokens_within(row, 0, 10 * S) == 4
    assert tokens_within(row, 2 * S, 3 * S) == 1, "the opening is left out, and the close is not"
    assert tokens_within(row, 4 * S, 5 * S) == 0


def test_tokens_of_pieces_are_spread_over_them() -> None:
    row = one(0, [1 * S, 2 * S, 3 * S, 4 * S], pieces=True, per_piece=3)
    assert tokens_within(row, 0, 10 * S) == 12
    assert tokens_within(row, 0, 2 * S) == 6


def test_an_answer_whose_times_nobody_saw_counts_whole_where_it_ended() -> None:
    row = one(0, [4 * S, 4 * S, 4 * S])
    assert row.times is None
    assert tokens_within(row, 3 * S, 5 * S) == 3
    assert tokens_within(row, 0, 3 * S) == 0


@given(
    st.lists(st.lists(st.integers(2, 99), min_size=2, max_size=8, unique=True).map(sorted), min_size=1, max_size=6),
    st.lists(st.integers(0, 120), min_size=1, max_size=4, unique=True).map(sorted),
)
def test_parts_add_up_to_the_whole(requests: list[list[int]], cuts: list[int]) -> None:
    rows = timings([answered(0, times, number=n) for n, times in enumerate(requests)])
    edges = [0, *(cut for cut in cuts if 0 < cut < 200), 200]
    parts = [count_given_out(rows, a, b) for a, b in pairwise(edges)]
    whole = count_given_out(rows, 0, 200)
    assert sum(p.output for p in parts) == whole.output == sum(map(len, requests))
    assert sum(p.input for p in parts) == whole.input
    assert sum(p.requests for p in parts) == whole.requests == len(requests)


def test_the_table_holds_every_request_with_what_became_of_it(tmp_path: Path) -> None:
    inside = answered(2 * S, [3 * S, 6 * S], number=0, sent=2 * S + 5)
    before = answered(0, [1 * S, 4 * S], number=1)
    lost = Unanswered(Request(id=2, output_tokens=4, prompt="x"), 3 * S, None, None)
    failed = Unanswered(Request(id=3, output_tokens=4, prompt="x"), 4 * S, 4 * S + 1, "RuntimeError: no")
    path = tmp_path / "requests.parquet"
    rows = [*timings([inside]), *timings([before])]
    write_served(path, rows, [failed, lost], 1, 2 * S, 5 * S)
    table = pq.read_table(path)
    assert table.column_names == [name for name, *_ in (*COLUMNS, *SERVED_COLUMNS)]
    found = {row["id"]: row for row in table.to_pylist()}
    assert list(found) == [1, 0, 2, 3], "in the order of arrival"
    assert [found[n]["finish"] for n in range(4)] == ["length", "length", "unanswered", "error"]
    assert [found[n]["inside"] for n in range(4)] == [True, False, True, True]
    assert [found[n]["window_tokens"] for n in range(4)] == [1, 1, 0, 0]
    assert found[0]["arrival_s"] == 0.0
    assert found[0]["sent_s"] == 5e-9
    assert (found[1]["arrival_s"], found[1]["sent_s"]) == (-2.0, -2.0)
    assert (found[2]["sent_s"], found[2]["error"], found[2]["ttft_s"]) == (None, None, None)
    assert found[3]["error"] == "RuntimeError: no"
    assert found[3]["output_tokens"] == 0
    assert table.schema.field("window_tokens").metadata[b"unit"] == b"token"
