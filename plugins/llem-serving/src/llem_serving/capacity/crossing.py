"""The rate at which attainment falls to the wanted one: its distribution, given runs.

Attainment follows a probit in the rate near the crossing, Φ(z* - s (rate / crossing - 1)): mean time per token is a mean
over many iterations, and so nearly normal around a mean that rises with the rate. Requests that miss come in bursts;
so the unit of noise is the part of a window, taken at the rate that was drawn in it (given how many requests a Poisson
process brought, nothing depends on the rate that was asked for), and deviances are divided by a dispersion φ, as in Efron's double binomial
family (Double exponential families and their use in generalized linear regression, JASA 81, 1986). Crossing, slope and
dispersion are all unknown, and their joint distribution is computed on a grid.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from llem_serving.capacity.normal import Floats, cdf_of, log_cdf, quantile
from llem_serving.capacity.runs import Run

CROSSINGS = 121
SLOPES = np.exp(np.linspace(math.log(1.5), math.log(120.0), 21))
DISPERSIONS = np.exp(np.linspace(0.0, math.log(600.0), 13))

_SLOPE_MIDDLE, _SLOPE_SPREAD = 9.0, 0.5
"""Prior of the slope, log-normal: attainment falls from 0.99 to 0.5 over a quarter of the rate, give or take a factor."""

_DISPERSION_MIDDLE, _DISPERSION_SPREAD = 20.0, 1.3
"""Prior of the dispersion, log-normal: misses come in bursts of some twenty, give or take a factor of four."""

_NEAR = 2.6
"""Distance from the wanted attainment, in z, up to which the probit is trusted. A part that lies further out only says on which side it is."""


@dataclass(frozen=True)
class Crossing:
    """The distribution of the crossing and of the slope there.

    Attributes:
        log_rates: grid of crossings, one for each row of weights.
        weights: probabilities; one column for each of SLOPES.
        dispersion: its geometric mean.
        wanted_z: z of the wanted attainment.
    """

    log_rates: Floats
    weights: Floats
    dispersion: float
    wanted_z: float

    def quantile(self, share: float) -> float:
        """A quantile of the crossing, in requests per second."""
        by_rate = self.weights.sum(axis=1)
        return math.exp(float(np.interp(share, np.cumsum(by_rate) - by_rate / 2, self.log_rates)))

    @property
    def rate_rps(self) -> float:
        """The median."""
        return self.quantile(0.5)


def nearness(z_away: Floats) -> Floats:
    """The weight of planned runs by their distance from the crossing in z."""
    found: Floats = 1 / (1 + (z_away / _NEAR) ** 6)
    return found


def crossing_of(runs: Sequence[Run], wanted: float, low_rps: float, high_rps: float) -> Crossing:
    """The distribution of the crossing between two rates.

    Args:
        runs: those that did not saturate.
        wanted: attainment, between 0 and 1.
        low_rps: the crossing is above.
        high_rps: the crossing is below.
    """
    z = quantile(wanted)
    lowest, highest = math.log(low_rps), math.log(high_rps)
    found = _on_grid(runs, z, _DISPERSION_MIDDLE, np.linspace(lowest, highest, CROSSINGS))
    for _ in range(2):
        low, high = (math.log(found.quantile(share)) for share in (1e-4, 1 - 1e-4))
        room = max(0.25 * (high - low), 2e-3)
        grid = np.linspace(max(low - room, lowest), min(high + room, highest), CROSSINGS)
        found = _on_grid(runs, z, found.dispersion, grid)
    return found


def _on_grid(runs: Sequence[Run], wanted_z: float, burst: float, grid: Floats) -> Crossing:
    parts = [
        (rate, rate / run.rate_rps - 1, kept, requests)
        for run in runs
        for rate, (kept, requests) in zip(run.drawn_rates, run.parts, strict=True)
        if requests
    ]
    bounds = wanted_z - _NEAR, wanted_z + _NEAR
    least, most = (cdf_of(bound) for bound in bounds)
    near = [off for _, off, kept, requests in parts if least <= kept / requests <= most]
    # Attainment at a rate is the mean over the rates that are drawn around it, of which Φ is no linear function.
    at_crossing = wanted_z * np.sqrt(1 + SLOPES**2 * (statistics.pvariance(near) if near else 0.0))
    per_rate = SLOPES / np.exp(grid)[:, None]
    deviance, counted = np.zeros((len(grid), len(SLOPES))), 0.0
    for rate, _, kept, requests in parts:
        share = min(max(kept / requests, least), most)
        z = np.clip(at_crossing + SLOPES - per_rate * rate, *bounds)
        own = share * _log(share) + (1 - share) * _log(1 - share)
        deviance += 2 * requests * (own - share * log_cdf(z) - (1 - share) * log_cdf(-z))
        # A part with less than one burst tells of the dispersion only so much. By what was seen, not by what each slope
        # and dispersion expect: else those that expect no burst would be likelier for that alone.
        if share == kept / requests:
            counted += min(1.0, 2 * (kept + 0.5) * (requests - kept + 0.5) / (requests + 1) / burst)
    of_dispersion = counted * np.log(DISPERSIONS) / 2
    of_dispersion += (np.log(DISPERSIONS / _DISPERSION_MIDDLE) / _DISPERSION_SPREAD) ** 2 / 2
    logs = -deviance / (2 * DISPERSIONS[:, None, None]) - of_dispersion[:, None, None]
    logs -= (np.log(SLOPES / _SLOPE_MIDDLE) / _SLOPE_SPREAD) ** 2 / 2
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    dispersion = math.exp(float(weights.sum(axis=(1, 2)) @ np.log(DISPERSIONS)))
    return Crossing(grid, weights.sum(axis=0), dispersion, wanted_z)


def _log(share: float) -> float:
    return math.log(share) if share > 0 else 0.0
