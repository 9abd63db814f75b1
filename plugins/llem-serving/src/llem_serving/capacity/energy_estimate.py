"""Estimate of the rate of the least joules per good token, and the run that would tell more."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np

from llem_serving.capacity.answer import Answer
from llem_serving.capacity.capacity_estimate import INTERVAL, CapacityEstimate
from llem_serving.capacity.crossing import SLOPES
from llem_serving.capacity.design import BELOW_LIMIT, most_telling
from llem_serving.capacity.energy_curve import EnergyCurve, basis, curve_of, told_rates
from llem_serving.capacity.normal import Floats, log_cdf

_FIRST_SHARES = (0.95, 0.7, 0.5)
"""Shares of capacity at which a curve is begun."""

_APART = 0.1
"""Runs nearer to one another than this, in the rate's logarithm, begin no curve."""

_CANDIDATES = 61
_REACH = 0.25
"""Distance from the least up to which runs are planned, in the rate's logarithm: further out the curve may be another one. No
further below the rates that ran is it believed."""

_BEYOND = 1.05
"""Runs are planned up to this multiple of capacity: of few good tokens nothing is told of all."""

_GRID = 200
_DEEPEST = 8.0
"""The least is looked for from this fraction of capacity on."""

_SEED = 43


class EnergyEstimate(CapacityEstimate):
    """Capacity, and the least energy up to it, as one run or more tell them."""

    _untold = "No run tells of energy"

    @cached_property
    def curve(self) -> EnergyCurve | None:
        """Joules per token against the rate; None where runs do not tell it yet."""
        return curve_of(self.runs)

    def next_rate(self, precision: float) -> float | None:
        """The next rate to run; None where the interval is as narrow as was asked for."""
        if self.simple_next is not None:
            return self.simple_next
        if (curve := self.curve) is None:
            return self._first_rate()
        is_over, is_limited = self._enough(precision), self._limited()
        if self.bounds.is_doubtful and (is_over or is_limited) and super()._limited():
            return self.bounds.limit_rps  # as for capacity
        if is_over:
            return None
        if is_limited:
            return most_telling(self.runs, self.crossing, self.bounds)
        return self._telling_of(curve)

    def interval(self) -> tuple[float, float, float]:
        """Low end, middle and high end."""
        low, middle, high = np.quantile(self._least[0], INTERVAL).tolist()
        return low, middle, high

    @property
    def ran(self) -> tuple[float, float]:
        """The lowest rate that told of energy, and the highest that ran."""
        return told_rates(self.runs)[0], super().ran[1]

    def bracket(self) -> tuple[float, float, float]:
        """As for capacity; the low end is 0 where it lies so far below the rates that ran that the curve may be another one there."""
        low, rate, high = super().bracket()
        return low if low >= self._lowest_believed else 0.0, rate, high

    def answer(self, most: int, precision: float) -> Answer:
        """The answer of a search that makes so many runs at most."""
        if self.simple_next is None and self.curve is not None and self._is_reached():
            return super().answer(most, precision)
        n = len(self.runs)
        made = f"All {n} runs are made" if n >= most else f"{n} of {most} runs are made"
        why = f"{made}; it takes steady runs that keep the objectives at three rates to tell where energy is least."
        return Answer(None, 0.0, self.bounds.missed_rps, n, why)

    @cached_property
    def _least(self) -> tuple[Floats, int]:
        """Rates of the least energy that the runs leave possible; and how many of them are at capacity.

        A curve and a capacity are drawn for each, and the least is found on a grid up to that capacity.
        """
        curve, crossing = self.curve, self.crossing
        assert curve is not None
        coefficients = curve.draws()
        rng = np.random.default_rng(_SEED)
        cells = rng.choice(crossing.weights.size, len(coefficients), p=crossing.weights.ravel())
        row, column = np.unravel_index(cells, crossing.weights.shape)
        shares = np.exp(np.linspace(-math.log(_DEEPEST), 0.0, _GRID))
        rates = np.exp(crossing.log_rates[row])[:, None] * shares
        joules = np.einsum("nkj,nj->nk", basis(rates), coefficients)
        kept = log_cdf(crossing.wanted_z - SLOPES[column][:, None] * (shares - 1))
        good = np.where(joules > 0, np.log(np.maximum(joules, 1e-300)) - kept, math.inf)
        best = np.argmin(good, axis=1)
        return rates[np.arange(len(rates)), best], int((best == _GRID - 1).sum())

    @property
    def _lowest_believed(self) -> float:
        return self.ran[0] * math.exp(-_REACH)

    def _limited(self) -> bool:
        """True where energy falls up to capacity."""
        least, at_capacity = self._least
        return 2 * at_capacity > len(least)

    def _why(self, most: int, precision: float) -> list[str]:
        limited = ["Energy falls up to the capacity: that bounds the rate."] if self._limited() else []
        return super()._why(most, precision)[:1] + limited

    def _narrow(self, precision: float) -> bool:
        return False

    def _first_rate(self) -> float:
        told = told_rates(self.runs)
        for share in _FIRST_SHARES:
            rate = share * self.crossing.rate_rps
            if all(abs(math.log(one / rate)) > _APART for one in told):
                return rate
        return self.crossing.rate_rps

    def _telling_of(self, curve: EnergyCurve) -> float:
        middle = max(self.interval()[1], self._lowest_believed)
        highest = min(_BEYOND * self.crossing.rate_rps, BELOW_LIMIT * self.bounds.limit_rps)
        candidates = np.exp(np.linspace(math.log(middle) - _REACH, math.log(middle) + _REACH, _CANDIDATES))
        candidates = candidates[candidates <= max(highest, middle)]
        left = curve.variance_after(candidates, len(self.runs[-1].parts))
        return float(candidates[int(np.argmin(left))])
