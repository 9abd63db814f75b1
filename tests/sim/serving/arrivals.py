"""Arrival times and lengths of requests, drawn from seeds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
S = 1_000_000_000


def constant(n: int, rate_rps: float) -> Ints:
    """One request every 1 / rate seconds, in nanoseconds."""
    return np.round(np.arange(1, n + 1) * (S / rate_rps)).astype(np.int64)


def poisson(n: int, rate_rps: float, rng: np.random.Generator) -> Ints:
    """A Poisson process: gaps are exponential."""
    return np.round(np.cumsum(rng.exponential(S / rate_rps, n))).astype(np.int64)


def gamma(n: int, rate_rps: float, cv: float, rng: np.random.Generator) -> Ints:
    """A renewal process whose gaps are gamma with this coefficient of variation; 1 is a Poisson process."""
    shape = cv**-2
    return np.round(np.cumsum(rng.gamma(shape, S / rate_rps / shape, n))).astype(np.int64)


def lengths(n: int, mean: float, rng: np.random.Generator, spread: float = 0.5) -> Ints:
    """Lengths in tokens, at least 1: log-normal with this mean and `spread`, the standard deviation of the logarithm."""
    drawn = rng.lognormal(np.log(mean) - spread**2 / 2, spread, n)
    return np.maximum(1, np.round(drawn)).astype(np.int64)
