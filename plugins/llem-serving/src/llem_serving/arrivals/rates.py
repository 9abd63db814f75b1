"""Rates over time, and the change of time that makes a process of unit rate one of this rate.

A process with the cumulative rate L(t) has its arrivals where L(t) reaches the arrivals of the unit-rate process: the
inversion theorem, Çinlar, Introduction to Stochastic Processes (1975), chapter 4, section 7.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from llem_serving.config import Stage

_SLACK = 1e-12
"""Relative error of a sum of products: an arrival that is due at the very end of a stage belongs to it."""


class Rate(Protocol):
    """A rate over time, from 0 on."""

    def count(self, until_s: float) -> float:
        """Expected number of arrivals before an instant."""

    def times_s(self, unit: NDArray[np.float64]) -> NDArray[np.float64]:
        """The instants at which the expected number reaches these values, ascending; those that it never reaches are left out."""


class SteadyRate:
    """One rate for ever.

    Args:
        rps: requests per second, above 0.
    """

    def __init__(self, rps: float) -> None:
        self._rps = rps

    def count(self, until_s: float) -> float:
        """See `Rate.count`."""
        return self._rps * until_s

    def times_s(self, unit: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Rate.times_s`."""
        return unit / self._rps


class StagedRate:
    """Rates one after another, each linear in time; after the last there is none.

    Args:
        stages: at least one.
    """

    def __init__(self, stages: Sequence[Stage]) -> None:
        self._length = np.array([stage.duration_s for stage in stages])
        self._from = np.array([stage.rate_rps for stage in stages])
        to = np.array([stage.rate_rps if stage.to_rps is None else stage.to_rps for stage in stages])
        self._slope = (to - self._from) / self._length
        self._begin = np.concatenate([[0.0], np.cumsum(self._length)])
        self._reached = np.concatenate([[0.0], np.cumsum((self._from + to) / 2 * self._length)])

    def count(self, until_s: float) -> float:
        """See `Rate.count`."""
        into = np.clip(until_s - self._begin[:-1], 0.0, self._length)
        return float(np.sum((self._from + self._slope * into / 2) * into))

    def times_s(self, unit: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Rate.times_s`. Where the expected number stands still, the instant is the first of that stretch."""
        edges = self._reached * (1 + _SLACK)
        # A gap of gamma may be 0 in floats; it still has to fall where there is a rate.
        unit = np.maximum(unit[unit <= edges[-1]], np.finfo(np.float64).tiny)
        unit = unit[unit <= edges[-1]]
        stage = np.searchsorted(edges[1:], unit)
        more = np.maximum(unit - self._reached[stage], 0.0)
        first, slope = self._from[stage], self._slope[stage]
        # The root of first·x + slope·x²/2 = more in the form that neither cancels nor divides by a slope of 0.
        root = np.sqrt(np.maximum(first**2 + 2 * slope * more, 0.0))
        into = np.divide(2 * more, first + root, out=np.zeros_like(more), where=more > 0)
        return np.asarray(self._begin[stage] + np.minimum(into, self._length[stage]))
