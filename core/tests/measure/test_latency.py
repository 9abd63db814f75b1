"""Latency from the times of a window's answers, against definitions and known schedules."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem.measure.latency import latency, latency_caveats, timings
from llem.specs.backend import RequestRecord
from llem.specs.scenario import Answer

MS = 1_000_000


def record(times: list[int] | None, output_tokens: int | None = None, **changes: Any) -> RequestRecord:
    count = len(times or ()) if output_tokens is None else output_tokens
    last = times[-1] if times else MS
    return RequestRecord(0, 4, count, 0, last, "length", None if times is None else tuple(times), **changes)


def answer(*records: RequestRecord, released: int = 0, returned: int = 0, stream: list[int] | None = None) -> Answer:
    return Answer(1, 1, released, returned, [], records, stream)


def test_each_latency_is_what_the_definitions_say() -> None:
    one = answer(record([110 * MS, 130 * MS, 180 * MS]), released=100 * MS, returned=200 * MS)
    (row,) = timings([one])
    assert row.ttft_s == pytest.approx(0.010)
    assert row.itl_s == pytest.approx([0.020, 0.050])
    assert row.tpot_s == pytest.approx(0.035)
    assert row.e2e_s == pytest.approx(0.080)
    figures = latency([row], [one])
    assert figures.batch_s is not None
    assert figures.batch_s.mean == pytest.approx(0.100)


def test_arrival_is_the_release_of_the_batch_and_not_when_the_engine_took_the_request() -> None:
    late = record([300 * MS])
    (row,) = timings([answer(late, released=50 * MS, returned=400 * MS)])
    assert row.ttft_s == pytest.approx(0.250)


def test_a_single_token_has_a_first_time_and_no_time_per_further_token() -> None:
    one = answer(record([20 * MS]))
    rows = list(timings([one]))
    assert rows[0].tpot_s is None
    assert rows[0].itl_s == []
    figures = latency(rows, [one])
    assert figures.ttft_s is not None
    assert figures.itl_s is None
    assert figures.tpot_s is None


def test_a_streams_events_give_the_times_where_the_record_has_none() -> None:
    one = answer(record(None, 2), stream=[10 * MS, 30 * MS])
    (row,) = timings([one])
    assert (row.ttft_s, row.e2e_s) == (pytest.approx(0.01), pytest.approx(0.03))


def test_without_times_there_are_durations_of_batches_alone() -> None:
    timed, silent = answer(record([10 * MS, 20 * MS]), returned=30 * MS), answer(record(None, 2), returned=50 * MS)
    rows = list(timings([timed, silent]))
    assert rows[1].ttft_s is None
    figures = latency(rows, [timed, silent])
    assert figures.batch_s is not None
    assert figures.batch_s.n == 2
    assert figures.model_dump(exclude={"batch_s"}) == {"ttft_s": None, "itl_s": None, "tpot_s": None, "e2e_s": None}


def test_gaps_are_pooled_over_requests_and_the_rest_counts_each_request_once() -> None:
    one = answer(record([10 * MS, 20 * MS, 30 * MS]), record([10 * MS, 50 * MS]), record([10 * MS]))
    figures = latency(list(timings([one])), [one])
    assert figures.itl_s is not None
    assert figures.tpot_s is not None
    assert figures.ttft_s is not None
    assert (figures.itl_s.n, figures.tpot_s.n, figures.ttft_s.n) == (3, 2, 3)
    assert figures.itl_s.p50 == pytest.approx(0.010)
    assert figures.itl_s.p90 is None, "three gaps have no tail"
    assert figures.tpot_s.mean == pytest.approx(0.025)


@given(
    st.lists(
        st.lists(st.integers(1, 10**10), min_size=1, max_size=20, unique=True).map(sorted), min_size=1, max_size=8
    ),
    st.integers(0, 10**9),
)
def test_latencies_hold_together_for_any_times(schedules: list[list[int]], wait: int) -> None:
    released = 10**12
    shifted = [[released + wait + t for t in times] for times in schedules]
    one = answer(*(record(times) for times in shifted), released=released, returned=max(map(max, shifted)))
    rows = list(timings([one]))
    for row, times in zip(rows, shifted, strict=True):
        assert row.ttft_s is not None
        assert row.e2e_s is not None
        assert row.itl_s is not None
        assert row.ttft_s + sum(row.itl_s) == pytest.approx(row.e2e_s)
        assert len(row.itl_s) == len(times) - 1
        if row.tpot_s is not None:
            assert row.tpot_s * (len(times) - 1) == pytest.approx(row.e2e_s - row.ttft_s, abs=1e-9)
            assert min(row.itl_s) - 1e-9 <= row.tpot_s <= max(row.itl_s) + 1e-9
    figures = latency(rows, [one])
    assert figures.e2e_s is not None
    assert figures.batch_s is not None
    assert figures.e2e_s.max == pytest.approx(figures.batch_s.max)
    assert figures.e2e_s.min <= figures.e2e_s.p50 <= figures.e2e_s.max


def test_pieces_tell_the_first_token_and_the_end_and_no_gap_between_tokens() -> None:
    whole = answer(record([110 * MS, 130 * MS]), released=100 * MS, returned=200 * MS)
    pieces = answer(record(None, 9, piece_ns=(120 * MS, 190 * MS)), released=100 * MS, returned=200 * MS)
    rows = list(timings([pieces]))
    assert (rows[0].ttft_s, rows[0].e2e_s) == (pytest.approx(0.020), pytest.approx(0.090))
    assert (rows[0].itl_s, rows[0].tpot_s) == (None, None)
    figures = latency(list(timings([whole, pieces])), [whole, pieces])
    assert figures.ttft_s is not None
    assert figures.ttft_s.n == 2
    assert (figures.itl_s, figures.tpot_s) == (None, None)


def test_the_events_of_a_stream_of_pieces_are_no_tokens() -> None:
    pieces = answer(record(None, 9, piece_ns=(120 * MS, 190 * MS)), released=100 * MS, stream=[120 * MS, 190 * MS])
    assert [row.itl_s for row in timings([pieces])] == [None]


def codes(*answers: Answer) -> list[str]:
    return [caveat.code for caveat in latency_caveats(timings(answers), answers)]


def test_tokens_that_were_seen_one_by_one_are_believed_without_a_word() -> None:
    one = answer(record([10 * MS, 20 * MS, 30 * MS]), record([10 * MS]), returned=31 * MS)
    assert codes(one) == []


def test_tokens_at_one_instant_have_no_gaps_and_no_first_one() -> None:
    one = answer(record([50 * MS] * 8), record([50 * MS]), returned=51 * MS)
    rows = timings([one])
    figures = latency(rows, [one])
    assert (figures.ttft_s, figures.itl_s, figures.tpot_s) == (None, None, None)
    assert figures.e2e_s is not None
    assert figures.e2e_s.mean == pytest.approx(0.050)
    assert rows[0].first_ns is None
    assert rows[0].times is None
    assert codes(one) == ["token_times_unseen"]
    (caveat,) = latency_caveats(rows, [one])
    assert "in 1 of 2 requests" in caveat.message


def test_an_answer_in_a_single_piece_has_no_first_token_either() -> None:
    one = answer(record(None, 9, piece_ns=(50 * MS,)), returned=51 * MS)
    figures = latency(timings([one]), [one])
    assert figures.ttft_s is None
    assert figures.e2e_s is not None


def test_a_short_answer_within_one_step_takes_the_time_per_token_and_nothing_else() -> None:
    # Two drafted tokens accepted together, beside answers whose steps are seen.
    steps = [record([10 * MS, 20 * MS, 30 * MS]), record([10 * MS, 25 * MS, 31 * MS]), record([10 * MS, 10 * MS])]
    one = answer(*steps, returned=32 * MS)
    figures = latency(timings([one]), [one])
    assert figures.ttft_s is not None
    assert figures.ttft_s.n == 3
    assert figures.tpot_s is None
    assert codes(one) == ["token_times_unseen"]


def test_tokens_in_groups_have_no_latency_between_them() -> None:
    groups = [t * MS for t in (10, 10, 10, 10, 20, 20, 20, 20)]
    one = answer(record(groups), returned=21 * MS)
    figures = latency(timings([one]), [one])
    assert figures.itl_s is None
    assert figures.tpot_s is not None
    assert figures.tpot_s.mean == pytest.approx(0.010 / 7)
    (caveat,) = latency_caveats(timings([one]), [one])
    assert caveat.code == "token_times_grouped"
    assert caveat.message.startswith("6 of 7 gaps")


def test_an_end_that_is_the_start_was_not_seen() -> None:
    made_up = replace(record([1_600, 1_600]), start_ns=1_600, end_ns=1_600)
    one = answer(made_up, returned=10_700_000)
    rows = timings([one])
    figures = latency(rows, [one])
    assert figures.batch_s is not None
    assert figures.model_dump(exclude={"batch_s"}) == {"ttft_s": None, "itl_s": None, "tpot_s": None, "e2e_s": None}
    assert not rows[0].is_placed
    assert codes(one) == ["request_times_contradict"]


def test_times_that_end_long_before_their_batch_are_not_those_of_the_work() -> None:
    def batch(number: int) -> Answer:
        start = number * 20 * MS
        early = replace(record([start + 700, start + 1_600]), start_ns=start)
        return answer(early, released=start, returned=start + 10_700_000)

    answers = [batch(number) for number in range(4)]
    figures = latency(timings(answers), answers)
    assert (figures.ttft_s, figures.e2e_s) == (None, None)
    (caveat,) = latency_caveats(timings(answers), answers)
    assert caveat.code == "request_times_contradict"
    assert "1.6 µs" in caveat.message
    assert "10.7 ms" in caveat.message


@pytest.mark.parametrize(("last_ms", "told"), [(4, ["request_times_contradict"]), (6, [])])
def test_a_last_token_before_half_of_its_batch_is_not_of_its_work(last_ms: int, told: list[str]) -> None:
    def batch(start: int) -> Answer:
        times = record([start + 2 * MS, start + last_ms * MS])
        return answer(replace(times, start_ns=start), released=start, returned=start + 10 * MS)

    assert codes(*(batch(number * 100 * MS) for number in range(3))) == told


def test_one_pause_of_the_machine_after_a_batch_contradicts_nothing() -> None:
    def batch(number: int, pause: int) -> Answer:
        start = number * 100 * MS
        times = record([start + 5 * MS, start + 10 * MS])
        return answer(replace(times, start_ns=start), released=start, returned=start + 10 * MS + pause)

    answers = [batch(number, 60 * MS if number == 1 else 1_000) for number in range(5)]
    assert codes(*answers) == []


def test_a_first_token_in_the_nanosecond_of_its_release_was_seen_by_nobody() -> None:
    whole = answer(record([100 * MS, 130 * MS, 180 * MS]), released=100 * MS, returned=190 * MS)
    rows = timings([whole])
    assert (rows[0].first_ns, rows[0].ttft_s, rows[0].tpot_s, rows[0].itl_s) == (None, None, None, None)
    assert rows[0].e2e_s == pytest.approx(0.080)
    figures = latency(rows, [whole])
    assert (figures.ttft_s, figures.itl_s, figures.tpot_s) == (None, None, None)
    (caveat,) = latency_caveats(rows, [whole])
    assert caveat.code == "token_times_unseen"
    assert "in which it was asked for in 1 of 1 requests" in caveat.message
    soon = answer(record([100 * MS + 1, 130 * MS, 180 * MS]), released=100 * MS, returned=190 * MS)
    assert timings([soon])[0].ttft_s == pytest.approx(1e-9)


def test_a_first_token_that_came_before_it_was_asked_for_was_seen_by_nobody() -> None:
    early = answer(record([99 * MS, 130 * MS, 180 * MS]), released=100 * MS, returned=190 * MS)
    rows = timings([early])
    assert (rows[0].first_ns, rows[0].ttft_s, rows[0].tpot_s, rows[0].itl_s) == (None, None, None, None)
    assert rows[0].e2e_s == pytest.approx(0.080)
    assert codes(early) == ["token_times_unseen"]
