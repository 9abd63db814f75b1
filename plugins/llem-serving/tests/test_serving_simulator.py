"""The simulated server in virtual time: against recursions, closed forms and sums that are made another way."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sim.serving import Batching, Path, coordinated, fifo, gamma, lengths, parallel, poisson, stopped
from sim.serving.arrivals import Ints, S, constant
from sim.serving.searching import REFERENCE, REFERENCE_CAPACITY_RPS
from sim.serving.window import Objective

CUSTOMERS = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 60), st.integers(1, 9)), min_size=1, max_size=40)


def columns(customers: list[tuple[int, int, int]]) -> tuple[Ints, Ints, Ints]:
    """Arrivals, service times and tokens of drawn customers (gap, service, tokens)."""
    table = np.array(customers, np.int64)
    return np.cumsum(table[:, 0]), table[:, 1], table[:, 2]


def lindley(arrivals: Ints, service: Ints) -> list[int]:
    """Waiting times: W(n+1) = max(0, W(n) + S(n) - A(n+1))."""
    waits = [0]
    for n in range(len(arrivals) - 1):
        waits.append(max(0, waits[-1] + int(service[n]) - int(arrivals[n + 1] - arrivals[n])))
    return waits


def served(kind: str, arrivals: Ints, work: Ints, tokens: Ints) -> Path:
    """A path through each kind of server."""
    if kind == "fifo":
        return fifo(arrivals, work, tokens)
    if kind == "parallel":
        return parallel(arrivals, work, tokens, 3)
    return Batching(7, 2, 1, max_batch=3).serve(arrivals, work, tokens)


KINDS = pytest.mark.parametrize("kind", ["fifo", "parallel", "batching"])


@given(CUSTOMERS)
def test_waiting_times_are_those_of_lindleys_recursion(customers: list[tuple[int, int, int]]) -> None:
    arrivals, service, tokens = columns(customers)
    assert fifo(arrivals, service, tokens).waiting.tolist() == lindley(arrivals, service)


def test_lindleys_recursion_holds_exactly_over_a_long_run() -> None:
    rng = np.random.default_rng(3)
    arrivals = gamma(20_000, 9.0, 2.0, rng)
    service = np.round(rng.exponential(0.1 * S, 20_000)).astype(np.int64)
    assert fifo(arrivals, service, np.ones_like(arrivals)).waiting.tolist() == lindley(arrivals, service)


@given(CUSTOMERS, st.integers(1, 4))
def test_no_server_is_free_while_somebody_waits(customers: list[tuple[int, int, int]], servers: int) -> None:
    arrivals, service, tokens = columns(customers)
    path = parallel(arrivals, service, tokens, servers)
    for n in np.nonzero(path.waiting)[0]:
        for t in (int(arrivals[n]), int(path.started[n]) - 1):
            assert int(((path.started <= t) & (path.last > t)).sum()) == servers
    assert path.started.tolist() == sorted(path.started.tolist())
    if servers == 1:
        assert path.started.tolist() == fifo(arrivals, service, tokens).started.tolist()


@pytest.mark.parametrize(("servers", "load"), [(1, 0.5), (1, 0.8), (4, 0.75)])
def test_mean_waiting_time_is_that_of_the_closed_form(servers: int, load: float) -> None:
    n, rng = 200_000, np.random.default_rng(servers)
    arrivals = poisson(n, load * servers, rng)
    service = np.round(rng.exponential(S, n)).astype(np.int64)
    path = parallel(arrivals, service, np.ones_like(arrivals), servers)
    busy = load * servers
    terms = [busy**k / math.factorial(k) for k in range(servers)]
    queued = busy**servers / math.factorial(servers) / (1 - load)
    expected = queued / (sum(terms) + queued) / (servers * (1 - load))  # Erlang C; M/M/1: load / (1 - load)
    blocks = (path.waiting / S).reshape(40, -1).mean(axis=1)
    assert abs(blocks.mean() - expected) < 4 * blocks.std() / math.sqrt(40)
    assert blocks.std() / math.sqrt(40) < 0.05 * expected


def test_an_iteration_lasts_as_its_batch_and_its_prompts_say() -> None:
    server = Batching(base_ns=100, per_request_ns=10, per_prefill_token_ns=1, max_batch=2)
    path = server.serve(np.array([50, 60, 70, 5000]), np.array([5, 6, 7, 8]), np.array([2, 3, 1, 1]))
    # 50: the first alone, 100 + 10 + 5. 165: with the second, 100 + 20 + 6, and the first is done. 291: with the third,
    # 100 + 20 + 7, which is done. 418: the second alone, 100 + 10. 5000: the fourth.
    assert path.started.tolist() == [50, 165, 291, 5000]
    assert path.first.tolist() == [165, 291, 418, 5118]
    assert path.last.tolist() == [291, 528, 418, 5118]
    assert path.token_times(1).tolist() == [291, 418, 528]
    assert path.tpot.tolist() == [126, 118.5, 0, 0]
    half, full, idle = server.power_w(1), server.power_w(2), server.idle_w
    assert path.power.at([0, 50, 164, 165, 417, 418, 527, 528, 4999, 5000, 5118]).tolist() == [
        *(idle, half, half, full, full, half, half, idle, idle, half, idle)
    ]
    joules = half * (115 + 110 + 118) + full * (126 + 127) + idle * (5000 - 528)
    assert path.power.energy_j(50, 5118) == pytest.approx(joules / S, rel=1e-12)


@given(CUSTOMERS)
def test_a_batch_has_room_only_while_nobody_waits(customers: list[tuple[int, int, int]]) -> None:
    arrivals, prompts, tokens = columns(customers)
    path = Batching(7, 2, 1, max_batch=3).serve(arrivals, prompts, tokens)
    for t in np.unique(np.concatenate([path.first, path.last])):  # the ends of iterations
        running = int(((path.started <= t) & (path.last > t)).sum())
        waiting = int(((arrivals <= t) & (path.started > t)).sum())
        assert running <= 3
        assert running == 3 or not waiting


@KINDS
@given(customers=CUSTOMERS, start=st.integers(-5, 900), length=st.integers(0, 900))
def test_tokens_inside_are_those_whose_times_are(
    kind: str, customers: list[tuple[int, int, int]], start: int, length: int
) -> None:
    path = served(kind, *columns(customers))
    for n, inside in enumerate(path.tokens_inside(start, start + length)):
        times = path.token_times(n)
        assert len(times) == path.tokens[n]
        assert (times[0], times[-1]) == (path.first[n], path.last[n])
        assert int(((times >= start) & (times < start + length)).sum()) == inside


@KINDS
@given(customers=CUSTOMERS, cut=st.integers(-10, 900))
def test_energy_is_the_sum_of_power_over_every_instant(
    kind: str, customers: list[tuple[int, int, int]], cut: int
) -> None:
    path = served(kind, *columns(customers))
    end = int(path.last.max()) + 20
    power = path.power.at(np.arange(-10, end))
    assert path.power.energy_j(-10, end) * S == pytest.approx(power.sum(), rel=1e-12)
    two = path.power.energy_j(-10, cut) + path.power.energy_j(cut, end)
    assert two == pytest.approx(path.power.energy_j(-10, end), rel=1e-12)


@given(CUSTOMERS)
def test_a_server_draws_its_peak_for_as_long_as_it_works(customers: list[tuple[int, int, int]]) -> None:
    arrivals, service, tokens = columns(customers)
    for path, each in ((fifo(arrivals, service, tokens), 300.0), (parallel(arrivals, service, tokens, 3), 100.0)):
        end = int(path.last.max())
        joules = (100.0 * (end + 1) + each * int(service.sum())) / S
        assert path.power.energy_j(-1, end) == pytest.approx(joules, rel=1e-12)


@KINDS
@given(customers=CUSTOMERS, at=st.integers(0, 300), stops=st.integers(0, 200))
def test_a_stop_delays_all_that_comes_after_it_and_nothing_else(
    kind: str, customers: list[tuple[int, int, int]], at: int, stops: int
) -> None:
    arrivals, work, tokens = columns(customers)
    path = stopped(lambda own: served(kind, own, work, tokens), arrivals, at, stops)
    assert (path.started >= arrivals).all()
    for n in range(len(arrivals)):
        times = path.token_times(n)
        assert not ((times >= at) & (times < at + stops)).any()
        assert (times[0], times[-1]) == (path.first[n], path.last[n])
        for t in (at - 1, at, at + stops // 2, at + stops, at + stops + 9):
            assert path.times.before(t)[n] == int((times < t).sum())
    if kind == "fifo":
        free = 0
        for n, arrived in enumerate(arrivals.tolist()):
            begins = max(arrived, free)
            begins = max(begins, at + stops) if at <= begins else begins
            ends = begins + int(work[n])
            free = ends + stops if begins < at <= ends else ends
            assert (path.started[n], path.last[n]) == (begins, free)


def test_a_stop_of_two_seconds_is_seen_by_all_who_should_have_arrived_in_it() -> None:
    """Coordinated omission: latencies from the release hide what those from the schedule show."""
    scheduled = constant(600, 100.0)

    def serve(released: Ints) -> Path:
        service = np.full(len(released), S // 200)
        return stopped(lambda own: fifo(own, service, np.ones_like(own)), released, S, 2 * S)

    def late(path: Path) -> int:
        return int((path.e2e > S // 10).sum())

    honest = serve(scheduled)
    # The i-th after the stop began waits 2 s - i * 0.005 s, for one is served in 0.005 s and one comes each 0.01 s.
    assert late(honest) == 381
    assert int(honest.e2e.max()) == 2 * S + S // 200
    released = coordinated(serve, scheduled)
    waited = serve(released)
    assert late(waited) == 1
    assert late(waited.scheduled_at(scheduled)) == late(honest)


def test_a_window_counts_who_arrived_in_it_and_energy_and_tokens_within_it() -> None:
    truth = REFERENCE
    window = truth.window(11.0, 3_000, 7)
    parts = window.attainment_by_part()
    assert sum(n for _, n in parts) == 3_000
    kept = window.objective.kept(window.path)[300:]
    assert sum(k for k, _ in parts) == int(kept[-3_000:].sum())
    joules = sum(j for j, _ in window.energy_by_part())
    assert joules == pytest.approx(float(window.path.power.energy_j(window.edges[0], window.edges[-1])), rel=1e-12)
    good = sum(g for _, g in window.energy_by_part())
    assert good == int(
        window.path.tokens_inside(window.edges[0], window.edges[-1])[window.objective.kept(window.path)].sum()
    )
    assert window.completed_rps() == pytest.approx(3_000 / window.length_s, rel=0.03)


def test_limits_are_kept_up_to_and_including_their_value() -> None:
    path = Batching(base_ns=S // 10, per_request_ns=0, per_prefill_token_ns=0).serve(
        np.array([0]), np.array([1]), np.array([3])
    )
    for limits, kept in (
        ({"ttft_s": 0.1}, True),
        ({"ttft_s": 0.0999}, False),
        ({"tpot_s": 0.1}, True),
        ({"tpot_s": 0.0999}, False),
        ({"e2e_s": 0.3}, True),
        ({"e2e_s": 0.2999}, False),
        ({}, True),
    ):
        assert Objective(**limits).kept(path).tolist() == [kept]


def test_a_server_that_is_offered_more_than_it_can_do_saturates_and_one_that_is_offered_less_does_not() -> None:
    full = REFERENCE.server.full_rps(REFERENCE.input_tokens, REFERENCE.output_tokens)
    assert REFERENCE.window(1.2 * full, 5_000, 1).steady() == "saturated"
    assert all(REFERENCE.window(0.85 * full, 5_000, seed).steady() is True for seed in range(8))
    assert REFERENCE.window(1.2 * full, 5_000, 1).completed_rps() == pytest.approx(full, rel=0.03)


def test_attainment_falls_through_the_wanted_one_at_the_capacity_of_the_reference() -> None:
    above, below = (REFERENCE.at(REFERENCE_CAPACITY_RPS * share)[0] for share in (0.98, 1.02))
    assert above > 0.99 > below


def test_truth_is_found_by_bisection() -> None:
    truth = type(REFERENCE)(Batching(), Objective(ttft_s=0.5, tpot_s=0.05), requests=8_000)
    rate = truth.capacity_rps(0.9)
    assert truth.at(rate / 1.002)[0] >= 0.9 > truth.at(rate * 1.002)[0]
    least = truth.least_energy_rps(0.9)
    assert least <= rate
    assert truth.at(least)[1] < min(truth.at(0.9 * least)[1], truth.at(1.1 * least)[1])


def test_gaps_and_lengths_have_the_mean_and_the_spread_that_were_asked_for() -> None:
    rng = np.random.default_rng(1)
    for times, cv in (
        (poisson(200_000, 4.0, rng), 1.0),
        (gamma(200_000, 4.0, 2.0, rng), 2.0),
        (constant(1000, 4.0), 0),
    ):
        gaps = np.diff(times) / S
        assert gaps.mean() == pytest.approx(0.25, rel=0.03)
        assert gaps.std() / gaps.mean() == pytest.approx(cv, rel=0.03, abs=1e-6)
    drawn = lengths(200_000, 64.0, rng)
    assert drawn.mean() == pytest.approx(64.0, rel=0.01)
    assert drawn.min() >= 1
