"""The account of a load: its parts are counts of what happened between two instants."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llem.plugin_api import Answer, Request, RequestRecord
from llem_serving.in_flight import Exchange
from llem_serving.tally import Tally

REQUEST = Request(0, 9, prompt="hi")
TIMES = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 9), st.integers(0, 9), st.integers(1, 9)), max_size=30)
"""Of requests: arrival, and after how long the first token and the end; tokens. So close that many fall on an edge."""


def exchange(number: int, arrived: int, first: int, ended: int, tokens: int) -> Exchange:
    record = RequestRecord(0, 1, tokens, arrived, ended, "length")
    answer = Answer(1, 1, arrived, ended, [REQUEST], [record])
    return Exchange(number, REQUEST, arrived, first_ns=first, ended_ns=ended, answer=answer)


@given(TIMES, st.integers(0, 30), st.integers(1, 15), st.randoms(use_true_random=False))
def test_a_part_counts_what_happened_in_it(
    rows: list[tuple[int, int, int, int]], start: int, length: int, rng: object
) -> None:
    found = [exchange(n, t, t + a, t + a + b, count) for n, (t, a, b, count) in enumerate(rows)]
    tally, end = Tally(), start + length
    for tell in (tally.arrived, tally.began, tally.ended):
        rng.shuffle(found)  # type: ignore[attr-defined]
        for one in found:
            tell(one)
    part = tally.part(start, end, 2.5)
    ended = [one for one in found if start < (one.ended_ns or 0) <= end]
    assert part.arrivals == sum(start <= one.arrived_ns < end for one in found)
    assert part.completions == len(ended)
    assert part.output_tokens == sum(one.answer.records[0].output_tokens for one in ended if one.answer)
    assert part.squared_tokens == sum(one.answer.records[0].output_tokens ** 2 for one in ended if one.answer)
    assert part.energy_j == 2.5
    began = [one for one in found if start < (one.first_ns or 0) <= end]
    waits = sorted((one.first_ns or 0, (one.first_ns or 0) - one.arrived_ns) for one in began)
    assert list(part.ttft_s) == [waited / 1e9 for _, waited in waits]
    assert sorted(part.answer_s) == sorted(((one.ended_ns or 0) - (one.first_ns or 0)) / 1e9 for one in ended)
    assert (part.since_s, part.length_s, part.failures) == (0.0, length / 1e9, 0)
    assert tally.part(start, end, None, start - 7).since_s == 7e-9
    assert len(part.in_flight) == 20
    assert part.in_flight[-1] == sum(one.arrived_ns <= end < (one.ended_ns or 0) for one in found)


def test_a_request_that_failed_has_left_and_given_nothing() -> None:
    tally, failed = Tally(), Exchange(0, REQUEST, 5, ended_ns=7, error="gone")
    tally.arrived(failed)
    tally.ended(failed)
    part = tally.part(0, 10, None)
    assert (part.arrivals, part.completions, part.output_tokens, part.energy_j) == (1, 1, 0, None)
    assert (part.failures, tally.part(7, 10, None).failures) == (1, 0)
    assert tally.under_way(6) == 1
    assert tally.under_way(7) == 0


def test_what_an_engine_holds_back_counts_when_it_is_seen() -> None:
    tally, late = Tally(), exchange(0, 2, 4, 15, 3)
    late.seen_ns = 15
    for tell in (tally.arrived, tally.began, tally.ended):
        tell(late)
    assert list(tally.part(0, 10, None).ttft_s) == []
    assert list(tally.part(10, 20, None).ttft_s) == [2e-9]
