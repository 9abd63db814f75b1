"""The truth of a simulated server: attainment at a rate, capacity, and the rate of the least energy, from long runs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from sim.serving.arrivals import gamma, lengths
from sim.serving.batching import Batching
from sim.serving.path import Path
from sim.serving.window import Objective, Window


@dataclass
class Truth:
    """A server with its work and its objective.

    Attributes:
        cv: coefficient of variation of the gaps between arrivals.
        spread: standard deviation of the logarithm of lengths.
    """

    server: Batching
    objective: Objective
    input_tokens: float = 200.0
    output_tokens: float = 64.0
    cv: float = 1.0
    spread: float = 0.5
    requests: int = 200_000
    _seen: dict[float, tuple[float, float]] = field(default_factory=dict)

    def path(self, rate_rps: float, requests: int, seed: int) -> Path:
        """The path of so many requests at a rate."""
        rng = np.random.default_rng(seed)
        arrivals = gamma(requests, rate_rps, self.cv, rng)
        inputs = lengths(requests, self.input_tokens, rng, self.spread)
        return self.server.serve(arrivals, inputs, lengths(requests, self.output_tokens, rng, self.spread))

    def window(self, rate_rps: float, requests: int, seed: int, parts: int = 3, ramp: float = 0.1) -> Window:
        """A run: so many requests in the window, after a ramp of that share."""
        skipped = round(requests * ramp)
        return Window.after(self.path(rate_rps, skipped + requests, seed), self.objective, skipped, parts)

    def at(self, rate_rps: float) -> tuple[float, float]:
        """Attainment, and joules per good token, at a rate; from one very long run, the same draws at every rate."""
        if rate_rps not in self._seen:
            window = self.window(rate_rps, self.requests, 10**9, 1, 0.02)
            ((kept, of),), ((joules, good),) = window.attainment_by_part(), window.energy_by_part()
            self._seen[rate_rps] = kept / of, joules / good if good else math.inf
        return self._seen[rate_rps]

    def capacity_rps(self, wanted: float, tolerance: float = 1e-3) -> float:
        """The highest rate whose attainment is at least `wanted`, by bisection."""
        low, high = 1e-2, self.server.full_rps(self.input_tokens, self.output_tokens)
        while high / low > 1 + tolerance:
            middle = math.sqrt(low * high) if high / low > 4 else (low + high) / 2
            low, high = (middle, high) if self.at(middle)[0] >= wanted else (low, middle)
        return (low + high) / 2

    def least_energy_rps(self, wanted: float, tolerance: float = 5e-3) -> float:
        """The rate of the least joules per good token among those whose attainment is at least `wanted`: golden section."""
        high = math.log(self.capacity_rps(wanted))
        low, share = high - math.log(8), (math.sqrt(5) - 1) / 2
        left, right = high - share * (high - low), low + share * (high - low)
        while high - low > tolerance:
            if self.at(math.exp(left))[1] <= self.at(math.exp(right))[1]:
                high, right = right, left
                left = high - share * (high - low)
            else:
                low, left = left, right
                right = low + share * (high - low)
        return math.exp((low + high) / 2)
