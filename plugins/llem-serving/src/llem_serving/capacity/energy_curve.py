"""Joules per token against the rate, fitted around the least.

Joules per good token times attainment are joules per token, which vary smoothly with the rate where attainment falls
steeply: A / rate + B + C rate. Idle power is shared among the tokens of a second; each token takes work of its own; and a
larger batch draws more. In the logarithm of the rate it is a hyperbolic cosine, a quadratic around its least.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from llem_serving.capacity.normal import Floats
from llem_serving.capacity.runs import Run

_LEAST_ATTAINMENT = 0.8
"""Parts with a smaller attainment are left out: of few good tokens nothing is told of all."""

_NEAR = 0.25
"""Distance from the least, in the rate's logarithm, at which runs count half; more where there are not three rates within."""

_LEAST_NOISE = 1e-3
_DRAWS = 400
_SEED = 42


@dataclass(frozen=True)
class EnergyCurve:
    """A fitted curve.

    Attributes:
        coefficients: of 1 / rate, 1 and rate.
        information: inverse of their covariance, without the noise.
        noise: standard deviation of one part, as a share of its value.
        df: degrees of freedom of the noise.
        around_rps: the rate around which runs count.
        reach: distance from it, in the rate's logarithm, at which they count half.
    """

    coefficients: Floats
    information: Floats
    noise: float
    df: float
    around_rps: float
    reach: float

    def draws(self) -> Floats:
        """Coefficients that the runs leave possible, one set a row: multivariate t, always the same numbers."""
        rng = np.random.default_rng(_SEED)
        root = np.linalg.cholesky(np.linalg.inv(self.information))
        scale = self.noise * np.sqrt(self.df / rng.chisquare(self.df, _DRAWS))
        drawn: Floats = self.coefficients + scale[:, None] * (rng.standard_normal((_DRAWS, 3)) @ root.T)
        return drawn

    def variance_after(self, candidates: Floats, parts: int) -> Floats:
        """The variance of the least's logarithm after one more run at each rate: of log √(A / C), by its gradient."""
        a, _, c = self.coefficients
        gradient = np.array([0.5 / max(a, 1e-12), 0.0, -0.5 / max(c, 1e-12)])
        rows = basis(candidates) / (basis(candidates) @ self.coefficients)[:, None]
        told = parts * nearness(candidates, self.around_rps, self.reach)
        after = self.information + told[:, None, None] * rows[:, :, None] * rows[:, None, :]
        found: Floats = np.einsum("i,nij,j->n", gradient, np.linalg.inv(after), gradient)
        return found


def basis(rates: Floats) -> Floats:
    """1 / rate, 1 and rate, a row for each rate."""
    return np.stack([1 / rates, np.ones_like(rates), rates], axis=-1)


def nearness(rates: Floats, around_rps: float, reach: float) -> Floats:
    """The weight of runs at these rates, from 0 to 1."""
    found: Floats = 1 / (1 + (np.log(rates / around_rps) / reach) ** 6)
    return found


def told_rates(runs: Sequence[Run]) -> list[float]:
    """Rates of runs that tell of energy, ascending."""
    return sorted({run.rate_rps for run in runs if _points((run,))})


def curve_of(runs: Sequence[Run]) -> EnergyCurve | None:
    """The fitted curve; None where runs at three rates or more do not tell one."""
    points, told = _points(runs), np.array(told_rates(runs))
    if len(told) < 3 or len(points) < 5:
        return None
    rates, joules = (np.array(values) for values in zip(*points, strict=True))
    around = float(rates[int(np.argmin(joules))])
    found = None
    for _ in range(3):
        reach = max(_NEAR, float(np.sort(np.abs(np.log(told / around)))[2]))
        if (found := _fitted(rates, joules, around, reach)) is None:
            return None
        a, _, c = found.coefficients
        least = math.sqrt(a / c) if a > 0 and c > 0 else around
        around = min(max(least, float(rates.min())), float(rates.max()))
    return found


def _points(runs: Sequence[Run]) -> list[tuple[float, float]]:
    """Rate and joules per token of each part that tells them."""
    return [
        (rate, joules / good * kept / requests)
        for run in runs
        if run.steady != "saturated" and run.energy
        for rate, (kept, requests), (joules, good) in zip(run.drawn_rates, run.parts, run.energy, strict=True)
        if requests and good > 0 and kept / requests >= _LEAST_ATTAINMENT
    ]


def _fitted(rates: Floats, joules: Floats, around: float, reach: float) -> EnergyCurve | None:
    weights = nearness(rates, around, reach)
    rows = basis(rates) / joules[:, None]  # residuals are relative
    information = (rows * weights[:, None]).T @ rows
    df = float(weights.sum()) - 3
    if df < 0.5 or np.linalg.cond(information) > 1e12:
        return None
    coefficients = np.linalg.solve(information, rows.T @ weights).astype(np.float64)
    residuals = 1 - rows @ coefficients
    noise = math.sqrt(float(weights @ residuals**2) / df + _LEAST_NOISE**2)
    return EnergyCurve(coefficients, information, noise, df, around, reach)
