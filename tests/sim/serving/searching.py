"""Searches for capacity and for the least energy on a simulated server, against its truth."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from sim.serving.batching import Batching
from sim.serving.truth import Truth
from sim.serving.window import Objective

from llem_serving.capacity import Answer, CapacitySearch, EnergySearch

WANTED = 0.99
REQUESTS = 5_000

REFERENCE = Truth(Batching(), Objective(ttft_s=0.5, tpot_s=0.05))
"""Continuous batching, 200 tokens in and 64 out in the mean, Poisson arrivals."""

REFERENCE_CAPACITY_RPS = 11.82
"""Of REFERENCE for 0.99: the probit of attainment at 11.2, 11.5, 11.8 and 12.1 requests/s, 600,000 requests each."""

REFERENCE_LEAST_RPS = 10.87
"""Of REFERENCE for 0.99: the least of a fourth-degree polynomial through seven rates, 600,000 requests each."""


@dataclass(frozen=True)
class Accuracy:
    """Distance of the answers of many searches from the truth.

    Attributes:
        errors: of each search, answer / truth - 1.
        covered: number of intervals that hold the truth.
        runs: of each search.
    """

    errors: Sequence[float]
    covered: int
    runs: Sequence[int]

    def within(self, share: float) -> int:
        """The number of answers that are within this share of the truth."""
        return sum(abs(error) <= share for error in self.errors)

    def __str__(self) -> str:
        size = np.abs(self.errors)
        return (
            f"{self.within(0.03)} of {len(size)} within 3 %; error {np.mean(self.errors):+.2%} in the mean, median size "
            f"{np.median(size):.2%}, 95th percentile {np.quantile(size, 0.95):.2%}; {self.covered} intervals hold the "
            f"truth; {np.mean(self.runs):.1f} runs"
        )


def searched(truth: Truth, seed: int, start_rps: float, *, energy: bool, wanted: float = WANTED) -> Answer:
    """The answer of a search whose every run draws its own arrivals."""
    search = EnergySearch(wanted, start_rps) if energy else CapacitySearch(wanted, start_rps)
    run = 0
    while (rate := search.ask()) is not None:
        window = truth.window(rate, REQUESTS, 1000 * seed + run)
        run += 1
        told = (rate, window.attainment_by_part(), window.steady())
        facts = {"completed_rps": window.completed_rps(), "window_s": window.length_s}
        if isinstance(search, EnergySearch):
            search.tell(*told, energy_by_part=window.energy_by_part(), **facts)
        else:
            search.tell(*told, **facts)
    return search.answer()


def accuracy(
    truth: Truth, optimum_rps: float, seeds: Iterable[int], *, energy: bool, wanted: float = WANTED
) -> Accuracy:
    """Search once for each seed: from 1 request/s, and from up to 3 times below or above the optimum, in turn."""
    errors, covered, runs = [], 0, []
    for seed in seeds:
        off = np.random.default_rng(seed).uniform(-math.log(3), math.log(3))
        start = optimum_rps * math.exp(off) if seed % 2 else 1.0
        found = searched(truth, seed, start, energy=energy, wanted=wanted)
        errors.append(found.rate_rps / optimum_rps - 1 if found.rate_rps else math.inf)
        covered += found.low_rps <= optimum_rps <= found.high_rps
        runs.append(found.runs)
    return Accuracy(errors, covered, runs)
