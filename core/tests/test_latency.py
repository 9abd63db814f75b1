"""Latency from the times of a window's answers, against definitions and known schedules."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem.measure.latency import latency, timings
from llem.measure.load_generator import Answer
from llem.specs.backend import RequestRecord

MS = 1_000_000


def record(times: list[int] | None, output_tokens: int | None = None, **changes: Any) -> RequestRecord:
    count = len(times or ()) if output_tokens is None else output_tokens
    last = times[-1] if times else 0
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
    assert figures.itl_s.p90 == pytest.approx(0.034)  # between 0.010 and 0.040, rank 1.8
    assert figures.tpot_s.mean == pytest.approx(0.025)


@given(
    st.lists(st.lists(st.integers(1, 10**10), min_size=1, max_size=20).map(sorted), min_size=1, max_size=8),
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
    assert figures.e2e_s.min <= figures.e2e_s.p50 <= figures.e2e_s.p95 <= figures.e2e_s.p99 <= figures.e2e_s.max


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
