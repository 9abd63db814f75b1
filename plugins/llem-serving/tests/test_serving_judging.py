"""Requests judged by their objectives, and the window's energy over what came out of it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem_serving.config import SloConfig
from llem_serving.judging import (
    Step,
    Window,
    achieved_rps,
    e2e_s,
    energy_shares,
    in_flight,
    j_per_good_token,
    j_per_output_token,
    j_per_request,
    judge,
    keeps,
    lateness,
    mean_in_flight,
    offered_rps,
    percentiles,
    pooled,
    tokens_by_part,
    tokens_inside,
    tpot_s,
    ttft_s,
)
from llem_serving.judging.objectives import unseen
from llem_serving.requests import ServedRequest

MS = 1_000_000
S = 1_000 * MS


def request(
    at: float = 0.0, ttft: float = 0.1, tpot: float = 0.01, tokens: int = 11, finish: str = "length", **other: Any
) -> ServedRequest:
    """A request that arrives after `at` seconds and is answered as said, times to the ns."""
    start = round(at * S)
    times = [start + round((ttft + tpot * n) * S) for n in range(tokens)]
    values: dict[str, Any] = {
        "id": 0,
        "scheduled_ns": start,
        "released_ns": start,
        "first_ns": times[0] if times else None,
        "last_ns": times[-1] if times else None,
        "token_ns": times or None,
        "input_tokens": 5,
        "output_tokens": tokens,
        "finish": finish,
        "error": None,
        "part": None,
    }
    return ServedRequest(**{**values, **other})


def unanswered(at: float) -> ServedRequest:
    return request(at, tokens=0, finish="unanswered")


@pytest.mark.parametrize("limit_s", [0.5, 0.3, 0.7, 1.9])
def test_a_limit_that_is_exceeded_by_less_than_a_quotient_tells_is_exceeded(limit_s: float) -> None:
    one = request(ttft=limit_s, tokens=1)
    assert ttft_s(one) == limit_s
    assert keeps(one, SloConfig(ttft_s=limit_s))
    assert not keeps(one, SloConfig(ttft_s=math.nextafter(limit_s, 0)))


@st.composite
def loads(draw: st.DrawFn) -> list[ServedRequest]:
    """Requests of any kind around a window of 0 to 10 s."""
    found = []
    for number in range(draw(st.integers(0, 10))):
        start = draw(st.integers(-3 * S, 12 * S))
        gaps = draw(st.lists(st.integers(0, S), max_size=5))
        times = [start + sum(gaps[: place + 1]) for place in range(len(gaps))]
        finish = draw(st.sampled_from(["length", "stop", "error", "unanswered"])) if times else "unanswered"
        seen = draw(st.booleans())
        found.append(
            ServedRequest(
                id=number,
                scheduled_ns=start,
                released_ns=draw(st.none() | st.integers(start, start + S)),
                first_ns=times[0] if times else None,
                last_ns=times[-1] if times else None,
                token_ns=times if seen and times else None,
                input_tokens=None,
                output_tokens=len(times),
                finish=finish,
                error=None,
                part=None,
            )
        )
    return found


LIMITS = st.none() | st.floats(0.001, 5)
SLOS = st.builds(SloConfig, ttft_s=LIMITS, tpot_s=LIMITS, e2e_s=LIMITS)
PARTS = st.integers(1, 25)


def test_latency_counts_from_the_scheduled_arrival() -> None:
    late = request(1.0, ttft=0.5, tpot=0.1, tokens=3, released_ns=round(1.4 * S))
    assert (ttft_s(late), tpot_s(late), e2e_s(late)) == (0.5, 0.1, 0.7)


def test_one_token_has_no_tpot_and_keeps_a_limit_of_it() -> None:
    one = request(tokens=1)
    assert tpot_s(one) is None
    assert keeps(one, SloConfig(tpot_s=1e-6))


def test_an_answer_that_came_at_one_instant_has_no_tpot() -> None:
    one = request(tokens=5, tpot=0.0)
    assert tpot_s(one) is None
    assert unseen(one, SloConfig(tpot_s=1.0))
    assert keeps(one, SloConfig(ttft_s=1.0))


def test_what_failed_or_has_no_answer_keeps_nothing() -> None:
    slo = SloConfig(attainment=0.5)
    assert keeps(request(), slo)
    assert not keeps(request(finish="error"), slo)
    assert not keeps(unanswered(0), slo)
    assert e2e_s(request(finish="error")) is None


@pytest.mark.parametrize("limit", ["ttft_s", "tpot_s", "e2e_s"])
def test_a_latency_at_its_limit_keeps_it_and_a_nanosecond_more_does_not(limit: str) -> None:
    one = request(ttft=0.3, tpot=0.1, tokens=2)
    value = {"ttft_s": 0.3, "tpot_s": 0.1, "e2e_s": 0.4}[limit]
    assert keeps(one, SloConfig(**{limit: value}))
    assert not keeps(one, SloConfig(**{limit: value - 1e-9}))


def test_a_time_that_was_not_seen_is_no_proof_of_its_limit_and_is_told() -> None:
    whole = request(first_ns=None, token_ns=None)
    found = judge([whole], SloConfig(ttft_s=9.0), 0, S, 3)
    assert (found.good, found.unseen) == (0, 1)
    found = judge([whole], SloConfig(e2e_s=9.0), 0, S, 3)
    assert (found.good, found.unseen) == (1, 0)


def test_requests_that_arrived_in_the_window_are_judged_and_no_others() -> None:
    load = [
        request(-0.1),
        request(0.0),
        request(5.0, ttft=1.0),
        request(9.999),
        request(10.0, ttft=9.0),
        unanswered(9.0),
    ]
    found = judge(load, SloConfig(ttft_s=0.5, attainment=0.6), 0, 10 * S, 5)
    assert (found.requests, found.good, found.unanswered, found.failed) == (4, 2, 1, 0)
    assert found.attainment == 0.5
    assert found.goodput_rps == 0.2
    assert found.offered_rps == 0.4
    assert found.kept is False
    assert [part.requests for part in found.parts] == [1, 0, 1, 0, 2]


def test_good_tokens_are_those_inside_of_requests_that_keep_their_limits_whenever_they_arrived() -> None:
    before = request(-1.0, ttft=0.9, tpot=0.1, tokens=6)  # -0.1, 0.0, 0.1, … 0.4: four inside
    slow = request(1.0, ttft=2.0, tokens=4)
    over_the_close = request(9.0, ttft=0.5, tpot=0.25, tokens=5)  # 9.5, 9.75, 10.0, …: three inside
    found = judge([before, slow, over_the_close], SloConfig(ttft_s=0.95), 0, 10 * S, 3)
    assert found.good_tokens == 4 + 3
    assert found.output_tokens == 4 + 4 + 3
    assert found.completed == 2
    assert found.achieved_rps == 0.2


def test_a_token_at_the_opening_was_before_it_and_one_at_the_close_is_inside() -> None:
    edges = request(ttft=0.0, tpot=1.0, tokens=3)
    assert tokens_inside(edges, 0, 2 * S) == 2
    assert tokens_by_part(edges, Window(0, 2 * S, 2)) == [1, 1]


def test_an_answer_that_ends_at_the_opening_was_before_it_and_one_at_the_close_is_inside() -> None:
    load = [request(-1.0, ttft=1.0, tokens=1), request(1.0, ttft=1.0, tokens=1), request(1.0, ttft=1.1, tokens=1)]
    assert judge(load, SloConfig(), 0, 2 * S, 2).completed == 1
    assert achieved_rps(load, 0, 2 * S) == 0.5
    assert achieved_rps(load[:1], 0, 2 * S) == 0


def test_tokens_without_times_of_their_own_are_spread_between_the_first_and_the_last() -> None:
    spread = request(ttft=0.0, tpot=1.0, tokens=11, token_ns=None)
    assert tokens_inside(spread, round(2.5 * S), round(5.5 * S)) == 3
    assert tokens_inside(spread, -S, 10 * S) == 11
    whole = request(ttft=1.0, tokens=7, first_ns=None, token_ns=None, last_ns=3 * S)
    assert (tokens_inside(whole, 0, 2 * S), tokens_inside(whole, 2 * S, 3 * S)) == (0, 7)
    assert tokens_inside(unanswered(0), -S, S) == 0
    pieces = request(tokens=10, token_ns=[S, 2 * S, 3 * S], first_ns=S, last_ns=3 * S)
    assert [tokens_inside(pieces, n * S, (n + 1) * S) for n in range(3)] == [3, 3, 4]


def test_tokens_of_a_request_that_was_never_answered_whole_count_too() -> None:
    half = request(tokens=4, finish="unanswered", last_ns=None)
    assert judge([half], SloConfig(), 0, S, 3).output_tokens == 4


def test_tokens_that_were_counted_before_are_taken_as_they_are() -> None:
    assert judge([request(), request(5.0)], SloConfig(), 0, S, 3, tokens=[3, 0]).good_tokens == 3


def test_without_good_tokens_there_is_no_energy_per_good_token() -> None:
    assert j_per_good_token(100.0, 0) is None
    assert j_per_good_token(None, 10) is None
    assert j_per_good_token(0.0, 10) == 0.0
    assert j_per_good_token(100.0, 50) == 2.0
    assert j_per_output_token(100.0, 0) is None
    assert j_per_request(100.0, 0) is None
    assert j_per_request(100.0, 4) == 25.0


def test_a_window_without_arrivals_has_no_attainment() -> None:
    found = judge([], SloConfig(), 0, S, 3)
    assert (found.attainment, found.interval, found.kept, found.is_told) == (None, None, None, False)


def test_a_window_without_length_is_refused() -> None:
    with pytest.raises(ValueError, match="a window has a length"):
        judge([], SloConfig(), S, S, 3)


def test_cycles_are_judged_together_as_one_longer_window() -> None:
    slo = SloConfig(ttft_s=0.5, attainment=0.6)
    one = judge([request(0.0), request(1.0)], slo, 0, 2 * S, 2)
    other = judge([request(0.0), request(1.0, ttft=2.0)], slo, 0, 2 * S, 2)
    both = pooled([one, other])
    assert (both.attainment, both.goodput_rps, both.window_s, len(both.parts)) == (0.75, 0.75, 4.0, 4)
    assert both.interval is not None
    assert both.interval.groups == 4
    with pytest.raises(ValueError, match="same attainment"):
        pooled([one, judge([], SloConfig(attainment=0.5), 0, S, 3)])


@given(loads(), SLOS, PARTS)
def test_what_is_good_is_part_of_the_whole(load: list[ServedRequest], slo: SloConfig, parts: int) -> None:
    found = judge(load, slo, 0, 10 * S, parts)
    assert 0 <= found.good_tokens <= found.output_tokens
    assert found.good + found.failed + found.unanswered <= found.requests
    if found.attainment is not None:
        assert 0 <= found.attainment <= 1
    if found.interval is not None and found.attainment is not None:
        assert 0 <= found.interval.low <= found.attainment <= found.interval.high <= 1


@given(loads(), SLOS, st.floats(1, 10))
def test_a_looser_limit_never_lowers_the_attainment(load: list[ServedRequest], slo: SloConfig, factor: float) -> None:
    loose = slo.model_copy(
        update={name: limit * factor for name in ("ttft_s", "tpot_s", "e2e_s") if (limit := getattr(slo, name))}
    )
    tight_one, loose_one = judge(load, slo, 0, 10 * S, 3), judge(load, loose, 0, 10 * S, 3)
    assert loose_one.good >= tight_one.good
    assert loose_one.good_tokens >= tight_one.good_tokens


@given(loads(), SLOS, PARTS, st.integers(-(2**60), 2**60))
def test_shifting_all_times_changes_nothing(load: list[ServedRequest], slo: SloConfig, parts: int, shift: int) -> None:
    def moved(at: int | None) -> int | None:
        return None if at is None else at + shift

    later = [
        replace(
            one,
            scheduled_ns=one.scheduled_ns + shift,
            released_ns=moved(one.released_ns),
            first_ns=moved(one.first_ns),
            last_ns=moved(one.last_ns),
            token_ns=None if one.token_ns is None else [at + shift for at in one.token_ns],
        )
        for one in load
    ]
    assert judge(later, slo, shift, 10 * S + shift, parts) == judge(load, slo, 0, 10 * S, parts)
    assert lateness(later, shift, 10 * S + shift) == lateness(load, 0, 10 * S)
    assert [(at - shift, n) for at, n in in_flight(later)] == list(in_flight(load))


@given(loads(), PARTS)
def test_parts_add_up_to_the_window(load: list[ServedRequest], parts: int) -> None:
    window = Window(0, 10 * S, parts)
    for one in load:
        assert sum(tokens_by_part(one, window)) == tokens_inside(one, 0, 10 * S) <= one.output_tokens
    found = judge(load, SloConfig(), 0, 10 * S, parts)
    assert found.requests == sum(0 <= one.scheduled_ns < 10 * S for one in load)
    assert found.offered_rps == offered_rps(load, 0, 10 * S)
    assert found.achieved_rps == achieved_rps(load, 0, 10 * S)


@given(loads(), st.floats(0, 1e6))
def test_shares_of_energy_add_up_to_the_windows(load: list[ServedRequest], energy: float) -> None:
    shares = energy_shares(load, energy, 0, 10 * S)
    if shares is None:
        assert judge(load, SloConfig(), 0, 10 * S, 1).output_tokens == 0
    else:
        assert len(shares) == len(load)
        assert sum(shares) == pytest.approx(energy)
        assert min(shares) >= 0


def test_a_share_of_energy_goes_by_tokens_inside() -> None:
    assert energy_shares([request(tokens=3), request(tokens=1), request(50.0)], 8.0, 0, S) == [6.0, 2.0, 0.0]


@pytest.mark.parametrize(
    ("n", "stand"), [(19, ""), (20, "50"), (100, "50 90"), (200, "50 90 95"), (1000, "50 90 95 99")]
)
def test_a_percentile_stands_where_ten_values_lie_beyond_it(n: int, stand: str) -> None:
    found = percentiles(range(n))
    assert " ".join(str(p) for p in (50, 90, 95, 99) if getattr(found, f"p{p}") is not None) == stand


def test_percentiles_are_interpolated_between_values() -> None:
    found = percentiles(float(n) for n in reversed(range(1000)))
    assert (found.p50, found.p90, found.p95, found.p99) == pytest.approx((499.5, 899.1, 949.05, 989.01))


def test_lateness_is_of_the_requests_of_the_window() -> None:
    load = [request(n / 10, released_ns=n * 100 * MS + n * MS) for n in range(101)]
    load += [request(-1.0, released_ns=S), request(0.5, released_ns=None)]
    found = lateness(load, 0, 100 * S)
    assert (found.n, found.never) == (101, 1)
    assert (found.p50_s, found.p99_s, found.max_s) == pytest.approx((0.05, 0.099, 0.1))


@pytest.mark.parametrize(("late_ms", "told"), [(0, False), (9, False), (10, True)])
def test_lateness_of_a_tenth_of_the_median_ttft_is_a_caveat(late_ms: int, told: bool) -> None:
    found = lateness([request(ttft=0.1, released_ns=late_ms * MS)], 0, S)
    assert (found.caveat is not None) == told
    if found.caveat is not None:
        assert found.caveat.code == "late_generator"
        assert "10 ms late" in found.caveat.message
    assert lateness([], 0, S).caveat is None


def test_requests_in_flight_are_counted_from_arrival_or_release_to_the_last_token() -> None:
    load = [
        request(0.0, ttft=1.0, tokens=1, released_ns=S // 2),
        request(1.0, ttft=1.0, tokens=1),
        unanswered(1.5),
        request(2.0, tokens=0, finish="error", last_ns=None),
        request(3.0, released_ns=None, tokens=0, finish="error", last_ns=None),
    ]
    assert in_flight(load) == [(0, 1), (round(1.5 * S), 2), (2 * S, 1)]
    assert in_flight(load, since="released") == [(S // 2, 1), (round(1.5 * S), 2), (2 * S, 1)]


def test_the_mean_in_flight_is_the_rate_times_the_stay() -> None:
    load = [request(n / 10, ttft=0.35, tokens=1) for n in range(100)]
    assert mean_in_flight(in_flight(load), S, 9 * S) == pytest.approx(10 * 0.35)
    assert mean_in_flight([], 0, S) == 0
    assert mean_in_flight([Step(0, 4)], S, 2 * S) == 4
    with pytest.raises(ValueError, match="stretch"):
        mean_in_flight([], S, S)


@given(loads())
def test_in_flight_never_falls_below_none(load: list[ServedRequest]) -> None:
    steps = in_flight(load)
    assert all(step.n >= 0 for step in steps)
    assert [step.t_ns for step in steps] == sorted({step.t_ns for step in steps})
    stay = [one for one in load if one.finish == "unanswered"]
    assert (steps[-1].n if steps else 0) == len(stay)
