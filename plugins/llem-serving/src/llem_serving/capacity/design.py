"""The choice of the next rate: where a run tells most of the crossing."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import numpy as np

from llem_serving.capacity.bounds import Bounds
from llem_serving.capacity.crossing import SLOPES, Crossing, nearness
from llem_serving.capacity.normal import Floats, cdf, density
from llem_serving.capacity.runs import Run

_CANDIDATES = 61
_THINNED = 4

BELOW_LIMIT = 0.985
"""Runs are planned below this share of the rate that saturates: there they would only saturate again."""


def most_telling(runs: Sequence[Run], crossing: Crossing, bounds: Bounds) -> float:
    """The rate whose run is expected to leave the least variance of the crossing's logarithm.

    Bayesian c-optimality (Chaloner and Larntz, Optimal Bayesian design applied to logistic regression experiments,
    Journal of Statistical Planning and Inference 21, 1989): the variance that is left is averaged over what is held
    possible. A rate somewhat above the crossing often tells more than the crossing itself, since misses are many there.
    Where all runs keep everything or nothing, the middle of the bracket.
    """
    if not any(run.tells for run in runs):
        between = 0 < bounds.held_rps < bounds.missed_rps < math.inf
        return math.sqrt(bounds.held_rps * bounds.missed_rps) if between else crossing.rate_rps
    low, high = crossing.quantile(0.005), crossing.quantile(0.995)
    candidates = np.exp(np.linspace(math.log(low) - 0.1, math.log(high) + 0.15, _CANDIDATES))
    candidates = candidates[candidates < BELOW_LIMIT * bounds.limit_rps]
    if not candidates.size:
        return crossing.rate_rps
    size = statistics.median(run.requests for run in runs if run.steady != "saturated")
    left = _expected_variance(crossing, candidates, size)
    return float(candidates[int(np.argmin(left))])


def _expected_variance(crossing: Crossing, candidates: Floats, requests: float) -> Floats:
    rows = crossing.log_rates[:, None] + 0 * np.log(SLOPES)
    columns = np.log(SLOPES) + 0 * rows
    covariance = np.cov(np.stack([rows.ravel(), columns.ravel()]), aweights=crossing.weights.ravel(), ddof=0)
    known = np.linalg.inv(covariance + np.diag([1e-10, 1e-10]))
    weights = crossing.weights[::_THINNED].ravel()
    log_rate, slope = rows[::_THINNED].ravel(), np.exp(columns[::_THINNED].ravel())
    likely = weights > 1e-6 * weights.max()
    weights, log_rate, slope = weights[likely], log_rate[likely], slope[likely]
    share = candidates[:, None] / np.exp(log_rate)
    z = np.clip(crossing.wanted_z - slope * (share - 1), -7.5, 7.5)
    told = nearness(z - crossing.wanted_z) * requests / crossing.dispersion * density(z) ** 2 / (cdf(z) * cdf(-z))
    by_rate, by_slope = slope * share, slope * (1 - share)
    first = known[0, 0] + told * by_rate**2
    both = known[0, 1] + told * by_rate * by_slope
    second = known[1, 1] + told * by_slope**2
    left: Floats = (second / (first * second - both**2)) @ weights
    return left
