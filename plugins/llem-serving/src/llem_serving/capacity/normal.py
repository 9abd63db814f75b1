"""Logarithms of the normal distribution function, for arrays."""

from __future__ import annotations

import math
import statistics
from functools import cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_FAR = 8.0
_STEP = 1 / 256


@cache
def _table() -> tuple[Floats, Floats]:
    """Values at equal steps, and how far it is from each to the next."""
    z = np.arange(-_FAR, _FAR + _STEP / 2, _STEP)
    found = np.array([math.log(math.erfc(-one / math.sqrt(2)) / 2) for one in z])
    return found, np.append(np.diff(found), 0.0)


def log_cdf(z: Floats) -> Floats:
    """log Φ(z), to 1e-4 of it by linear interpolation; beyond ±8 it stays as it is there."""
    values, gaps = _table()
    at = (np.clip(z, -_FAR, _FAR) + _FAR) / _STEP
    below = at.astype(np.intp)  # steps are equal: nothing has to be looked for, as `interp` does
    found: Floats = values[below] + (at - below) * gaps[below]
    return found


def cdf(z: Floats) -> Floats:
    """Φ(z)."""
    return np.exp(log_cdf(z))


def density(z: Floats) -> Floats:
    """φ(z)."""
    found: Floats = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return found


def cdf_of(z: float) -> float:
    """Φ(z) of one number."""
    return statistics.NormalDist().cdf(z)


def quantile(share: float) -> float:
    """The z with Φ(z) = share, for 0 < share < 1."""
    return statistics.NormalDist().inv_cdf(share)
