"""Rates of right and wrong answers of the gate, over queues in virtual time with known loads.

Measured with these seeds over 200 queues each (500 at 1.05 with 1,000 requests a part, 50 at 1.5), 10 parts, queues that start
empty half a part before the gate is first fed. `saturated` is the verdict at the end of patience.

| queue | load | requests a part | steady | saturated | given up early |
|---|---|---|---|---|---|
| M/M/8 | 0.3, 0.6 | 200 | 100 % | 0 | 0 |
| M/M/8 | 0.8 | 50 | 78 % | 0 | 0 |
| M/M/8 | 0.8 | 200 | 97 % | 0 | 0 |
| M/M/8 | 0.9 | 200 | 76 % | 0 | 0 |
| M/M/8 | 0.9 | 1,000 | 98.5 % | 0 | 0 |
| M/G/1, squared cv 3 | 0.6 | 200 | 99 % | 0 | 0 |
| M/G/32, squared cv 0.2 | 0.8 | 200 | 97.5 % | 0 | 0 |
| M/M/8 | 1.05 | 200 | 8 % | 70 % | 1.5 % |
| M/M/8 | 1.05 | 500 | 3 % | 82.5 % | 5.5 % |
| M/M/8 | 1.05 | 1,000 | 1.2 % | 96 % | 29 % |
| M/M/8 | 1.2 | 50 | 3 % | 92 % | 11.5 % |
| M/M/8 | 1.2 | 200 | 0 | 100 % | 93.5 % |
| M/M/8 | 1.5 | 200 | 0 | 100 % | 100 % |

Answers as long as parts, of a system that has room for all (they are 100 milliseconds late by chance, and more as it fills) or for
1 / 1.2 of them. Of low loads, which fill before the eyes of the gate, none in 200 is `saturated` or given up; nor where first tokens are
only seen when answers are whole, as with a server over HTTP.

| answers | of parts | load | requests a part | parts | saturated | given up early |
|---|---|---|---|---|---|---|
| constant, gamma (squared cv 0.2), exponential | 0.5 to 3 | low | 10 to 200 | 3 to 12 | 0 | 0 |
| constant | 2 | 1.2 | 200 | 12 | 100 % | 93 % |
| gamma | 2 | 1.2 | 200 | 12 | 100 % | 83 % |
| exponential | 2 | 1.2 | 200 | 12 | 100 % | 40 % |
| constant | 2 | 1.2 | 200 | 6 | 80 % | 13 % |
| gamma | 1 | 1.2 | 200 | 6 | 97 % | 3 % |

Six parts are too few for wide lengths of two parts: the longest answers end in the last of them, and the run is `unsteady`.

Energy: 100 W idle and 300 W busy, 100 tokens at the end of each request, which is where the gate counts them. Nothing above changes
by more than four points; with a bound of 5 % that allowed for no counting noise the gate would call steady 82 % instead of 97 % at 0.8 and
200 requests a part. Where power rises by a quarter from part to part it calls 0.5 % steady.

A load of 1.05 leaves 100 requests of 2,000 behind, where counting noise alone is √(2 × 2,000) = 63: no test tells that in ten parts
of 200 requests. Ten parts of 1,000 do.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from llem_serving.steadiness import LoadPart, SteadyGate, saturates

PARTS = 10
SAMPLES = 40
IDLE_W, BUSY_W, TOKENS = 100.0, 300.0, 100


@dataclass
class Outcome:
    """Shares of the seeds: called steady; saturated at the end of patience; given up early; of these, such as were steady."""

    steady: float
    saturated: float
    early: float


def queues(
    load: float, servers: int, spread: float, requests: int, seeds: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Arrivals, first tokens and ends of `seeds` queues M/G/k, by the recursion of Kiefer and Wolfowitz.

    Service has a mean of 1 and, as a gamma distribution, this squared coefficient of variation (1 is exponential).
    """
    generator = np.random.default_rng(round(1000 * load) + servers)
    n = int((PARTS + 1) * requests * 1.15) + 200
    arrivals = np.cumsum(generator.exponential(1 / (load * servers), (seeds, n)), axis=1)
    service = generator.gamma(1 / spread, spread, (seeds, n))
    # One request of all queues after another: those of one place lie side by side.
    came, takes, begins = np.ascontiguousarray(arrivals.T), np.ascontiguousarray(service.T), np.empty((n, seeds))
    free, rows = np.zeros((seeds, servers)), np.arange(seeds)
    for place in range(n):
        server = free.argmin(axis=1)
        np.maximum(came[place], free[rows, server], out=begins[place])
        free[rows, server] = begins[place] + takes[place]
    begun = np.ascontiguousarray(begins.T)
    prefill = 0.05 * generator.exponential(1.0, (seeds, n))
    return arrivals, begun + prefill, begun + service


def parts_of(
    arrivals: np.ndarray,
    first: np.ndarray,
    ends: np.ndarray,
    start: float,
    length: float,
    *,
    parts: int = PARTS,
    seen: np.ndarray | None = None,
    servers: int | None = None,
    heating: float = 1.0,
) -> Iterator[LoadPart]:
    """The parts of one queue.

    Args:
        seen: when first tokens are, where that is not as they come.
        servers: which draw `BUSY_W` together; None: no energy is known.
        heating: factor by which power rises from part to part.
    """
    told = first if seen is None else seen
    by_sight, by_end = np.argsort(told, kind="stable"), np.argsort(ends, kind="stable")
    ttft, ended, took = (first - arrivals)[by_sight], ends[by_end], (ends - first)[by_end]
    edges = start + np.arange(parts + 1) * length
    times = edges[:-1, None] + (np.arange(SAMPLES) + 1) * length / SAMPLES
    under_way = np.searchsorted(arrivals, times, side="right") - np.searchsorted(ended, times, side="right")
    came, begun, went = (np.searchsorted(each, edges).tolist() for each in (arrivals, told[by_sight], ended))
    busy_s = np.zeros(parts) if servers is None else np.diff(_busy_until(edges, np.sort(first), ended)) / servers
    for number in range(parts):
        energy_j = None
        if servers is not None:
            energy_j = heating**number * (IDLE_W * length + (BUSY_W - IDLE_W) * float(busy_s[number]))
        completions = went[number + 1] - went[number]
        yield LoadPart(
            came[number + 1] - came[number],
            completions,
            completions * TOKENS,
            energy_j,
            squared_tokens=completions * TOKENS**2,
            in_flight=under_way[number].tolist(),
            ttft_s=ttft[begun[number] : begun[number + 1]].tolist(),
            answer_s=took[went[number] : went[number + 1]].tolist(),
            since_s=float(edges[number]),
            length_s=length,
        )


def _busy_until(times: np.ndarray, first: np.ndarray, ended: np.ndarray) -> np.ndarray:
    """The time that answers had taken by then, together. Both are sorted."""
    before = [(np.concatenate([[0.0], np.cumsum(each)]), np.searchsorted(each, times)) for each in (ended, first)]
    (gone_s, gone), (begun_s, begun) = before
    return gone_s[gone] - begun_s[begun] + times * (begun - gone)


def outcome(
    load: float, servers: int = 8, spread: float = 1.0, requests: int = 200, seeds: int = 200, heating: float = 1.0
) -> Outcome:
    length = requests / (load * servers)
    steady = saturated = early = 0
    for arrivals, first, ends in zip(*queues(load, servers, spread, requests, seeds), strict=True):
        gate, was_steady, gave_up = SteadyGate(), False, False
        seen: list[LoadPart] = []
        for part in parts_of(arrivals, first, ends, length / 2, length, servers=servers, heating=heating):
            seen.append(part)
            gave_up = gave_up or saturates(seen) is not None
            was_steady = was_steady or gate.feed(part) == "steady"
        steady += was_steady
        early += gave_up
        saturated += not was_steady and gate.verdict() == "saturated"
    return Outcome(steady / seeds, saturated / seeds, early / seeds)


@pytest.mark.parametrize(
    ("load", "servers", "spread"), [(0.3, 8, 1.0), (0.6, 8, 1.0), (0.8, 8, 1.0), (0.6, 1, 3.0), (0.8, 32, 0.2)]
)
def test_a_load_that_is_kept_up_with_is_called_steady(load: float, servers: int, spread: float) -> None:
    found = outcome(load, servers, spread)
    assert found.steady >= 0.9, found
    assert found.early == 0, found
    assert found.saturated <= 0.01, found


@pytest.mark.parametrize(("load", "requests", "seeds"), [(1.05, 1000, 500), (1.2, 200, 200)])
def test_a_load_that_is_too_high_is_called_saturated_and_hardly_ever_steady(
    load: float, requests: int, seeds: int
) -> None:
    found = outcome(load, requests=requests, seeds=seeds)
    assert found.steady <= 0.02, found
    assert found.saturated >= 0.95, found


def test_power_that_rises_is_no_steady_state() -> None:
    found = outcome(0.6, heating=1.25)
    assert found.steady <= 0.02, found


def test_a_load_far_too_high_is_given_up_early() -> None:
    found = outcome(1.5, requests=200, seeds=50)
    assert (found.steady, found.early) == (0, 1), found


LENGTHS = {
    "constant": lambda generator, n: np.ones(n),
    "gamma": lambda generator, n: generator.gamma(5, 0.2, n),
    "exponential": lambda generator, n: generator.exponential(1.0, n),
}


def long_answers(
    kind: str, of_parts: float, requests: int, parts: int, seed: int, *, places: int | None, whole: bool
) -> Iterator[LoadPart]:
    """The parts of a load whose answers are as long as so many parts in the mean, from its first request on.

    Args:
        places: requests that are answered at once, others wait in turn; None: all are.
        whole: first tokens are seen when answers are whole.
    """
    generator = np.random.default_rng(seed)
    length, n = 1 / of_parts, int(1.3 * parts * requests) + 50
    arrivals = np.cumsum(generator.exponential(length / requests, n))
    service, begun = LENGTHS[kind](generator, n), arrivals
    if places is not None:
        free, begun = [0.0] * places, np.empty(n)
        for place in range(n):
            begun[place] = max(arrivals[place], heapq.heappop(free))
            heapq.heappush(free, begun[place] + service[place])
    # While the system fills its answers begin later and later, as those of a batch that grows do.
    first = begun + 0.02 * generator.exponential(1.0, n) + 0.02 * np.minimum(1.0, arrivals)
    ends = begun + service + 0.04
    yield from parts_of(arrivals, first, ends, 0.0, length, parts=parts, seen=ends if whole else None)


def judged(load: Iterator[LoadPart]) -> tuple[bool, bool]:
    """True or False for two things: a load is called saturated at the end; it is given up before."""
    gate, seen, gave_up = SteadyGate(), list[LoadPart](), False
    for part in load:
        seen.append(part)
        gave_up = gave_up or saturates(seen) is not None
        if gate.feed(part) == "steady":
            return False, gave_up
    return gate.verdict() == "saturated", gave_up


@pytest.mark.parametrize("whole", [False, True], ids=["as they come", "when whole"])
@pytest.mark.parametrize(("of_parts", "parts"), [(2, 3), (2, 6), (1, 6), (3, 12)])
@pytest.mark.parametrize("kind", LENGTHS)
def test_a_low_load_with_answers_as_long_as_parts_is_never_saturated(
    kind: str, of_parts: float, parts: int, whole: bool
) -> None:
    for requests in (10, 50):
        found = [
            judged(long_answers(kind, of_parts, requests, parts, seed, places=None, whole=whole)) for seed in range(200)
        ]
        assert not any(saturated or early for saturated, early in found)


@pytest.mark.parametrize("whole", [False, True], ids=["as they come", "when whole"])
@pytest.mark.parametrize("kind", LENGTHS)
def test_an_overload_with_answers_as_long_as_two_parts_is_found(kind: str, whole: bool) -> None:
    found = [judged(long_answers(kind, 2, 200, 12, seed, places=333, whole=whole)) for seed in range(30)]
    assert sum(saturated or early for saturated, early in found) >= 29
