"""Estimate of capacity from runs, and the run that would tell more."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Literal

from llem_serving.capacity.answer import Answer, percent
from llem_serving.capacity.bounds import Bounds, bounds_of, next_to_bracket, to_repeat
from llem_serving.capacity.crossing import Crossing, crossing_of
from llem_serving.capacity.design import most_telling
from llem_serving.capacity.runs import Run
from llem_serving.rate_unit import OF_REQUESTS

Limit = Literal["objectives", "steadiness"]

INTERVAL = (0.025, 0.5, 0.975)
"""Quantiles of the ends and the middle of a bracket, by the model."""

_HOPELESS, _HOPELESS_RUNS = 0.02, 3
"""Attainment below which a steady run is hopeless, and how many of these end a search in which none held."""

_BY_CHANCE = 3
"""Requests that one of these keeps more than the others for no reason."""

_OUTSIDE = 4.0
"""Capacity is looked for up to this factor outside of the rates that ran."""


class CapacityEstimate:
    """Capacity as one run or more tell it.

    Attributes:
        runs: all, in the order in which they were told.
        wanted: attainment.
        unit: of rates, for sentences.
    """

    _untold = "Nothing ran"

    def __init__(self, runs: Sequence[Run], wanted: float, unit: str = OF_REQUESTS) -> None:
        self.runs, self.wanted, self.unit = runs, wanted, unit

    @cached_property
    def bounds(self) -> Bounds:
        """Bounds that need no model."""
        return bounds_of(self.runs, self.wanted)

    @cached_property
    def crossing(self) -> Crossing:
        """The distribution of capacity: attainment's crossing, below rates that are not steady."""
        rates = [run.rate_rps for run in self.runs]
        high = min(self.bounds.limit_rps, _OUTSIDE * max(rates))
        fit = [run for run in self.runs if run.steady != "saturated"]
        return crossing_of(fit, self.wanted, min(*rates, high) / _OUTSIDE, high)

    @cached_property
    def simple_next(self) -> float | None:
        """The next rate while no model is needed: a repetition of what may be chance, or a step outwards."""
        if (again := to_repeat(self.runs, self.wanted)) is not None:
            return again
        return next_to_bracket(self.runs, self.wanted)

    def next_rate(self, precision: float) -> float | None:
        """The next rate to run; None where the interval is as narrow as was asked for."""
        if self._is_hopeless():
            return None
        if self.simple_next is not None:
            return self.simple_next
        is_over = self._enough(precision) or self._narrow(precision)
        if self.bounds.is_doubtful and (is_over or (self._limited() and any(run.tells for run in self.runs))):
            return self.bounds.limit_rps  # what one run says alone shall not cap the search for good
        if is_over:
            return None
        lowest, middle = self.ran[0], self.interval()[1]
        if middle < lowest:
            return middle  # or the answer would be the lowest rate that ran, for want of another
        return most_telling(self.runs, self.crossing, self.bounds)

    def interval(self) -> tuple[float, float, float]:
        """Low end, middle and high end."""
        low, middle, high = (self.crossing.quantile(share) for share in INTERVAL)
        return low, middle, high

    def answer(self, most: int, precision: float) -> Answer:
        """The answer of a search that makes so many runs at most."""
        if self.simple_next is not None:
            return self._one_sided(most)
        low, rate, high = self.bracket()
        n, why, beyond = len(self.runs), " ".join(self._why(most, precision)), " ".join(self._beyond())
        return Answer(rate if self._is_reached() else None, low, high, n, why, beyond)

    @property
    def ran(self) -> tuple[float, float]:
        """The lowest and the highest rate that ran: an answer lies between."""
        rates = [run.rate_rps for run in self.runs]
        return min(rates), max(rates)

    def bracket(self) -> tuple[float, float, float]:
        """The interval with its middle moved to the nearest rate that ran where it lies outside of them."""
        (low, middle, high), (lowest, highest) = self.interval(), self.ran
        rate = min(max(middle, lowest), highest)
        return min(low, rate), rate, max(high, rate)

    @property
    def limited_by(self) -> Limit | None:
        """The reason why no higher rate will do; None where no rate was too high."""
        bounds = self.bounds
        if math.isinf(bounds.missed_rps):
            return None
        if self.simple_next is None and any(run.tells for run in self.runs):
            return "steadiness" if self._limited() else "objectives"
        return "steadiness" if bounds.limit_rps <= bounds.missed_rps else "objectives"

    def _is_hopeless(self) -> bool:
        """True where several steady runs kept next to nothing, none held, and the lowest rate kept no more than the others: no lower one
        would, and runs get longer downwards."""
        lost = [run for run in self.runs if run.steady is True and run.attainment < _HOPELESS]
        if self.bounds.held_rps or len(lost) < _HOPELESS_RUNS:
            return False
        lowest, *others = sorted(lost, key=lambda run: run.rate_rps)
        return lowest.attainment <= 2 * max(run.attainment for run in others) + _BY_CHANCE / lowest.requests

    def _is_reached(self) -> bool:
        """False where no rate held, and capacity lies below all that ran: none of them can be the answer."""
        return bool(self.bounds.held_rps) or CapacityEstimate.interval(self)[2] >= self.ran[0]

    def _beyond(self) -> Iterator[str]:
        (low, middle, high), (lowest, highest) = self.interval(), self.ran
        alone = "there the bracket is the model's alone." if self.bracket()[0] else "nothing bounds the rate there."
        if middle < lowest:
            yield f"{self._untold} below {lowest:.4g} {self.unit}, where the model has the rate."
        elif low < lowest:
            yield f"{self._untold} below {lowest:.4g} {self.unit}: {alone}"
        if middle > highest:
            yield f"Nothing ran above {highest:.4g} {self.unit}, where the model has the rate."
        elif high > highest:
            yield f"Nothing ran above {highest:.4g} {self.unit}: there the bracket is the model's alone."

    def _enough(self, precision: float) -> bool:
        low, rate, high = self.bracket()
        return high <= rate * (1 + precision) and rate <= low * (1 + precision)

    def _narrow(self, precision: float) -> bool:
        """True where everything is kept below a bracket that is as narrow as was asked for, and nothing above."""
        bounds = self.bounds
        if any(run.tells for run in self.runs) or not bounds.held_rps:
            return False
        return 1 <= bounds.missed_rps / bounds.held_rps <= 1 + precision

    def _why(self, most: int, precision: float) -> list[str]:
        n, bounds = len(self.runs), self.bounds
        if self._enough(precision):
            said = [f"The bracket reaches no further than {percent(precision)} from the rate."]
        elif self._narrow(precision):
            said = [f"{bounds.held_rps:.4g} {self.unit} held and {bounds.missed_rps:.4g} did not: runs tell no more."]
        elif n >= most:
            said = [f"All {n} runs are made; the bracket reaches further than {percent(precision)} from the rate."]
        else:
            said = [f"{n} of {most} runs are made, and the bracket still reaches further than {percent(precision)}."]
        if self._limited():
            said.append(
                f"At {bounds.limit_rps:.4g} {self.unit} the server is no longer steady: that bounds the capacity."
                + (" One run says so." if bounds.is_doubtful else "")
            )
        return said

    def _limited(self) -> bool:
        return self.crossing.quantile(INTERVAL[2]) > 0.995 * self.bounds.limit_rps

    def _one_sided(self, most: int) -> Answer:
        n, bounds = len(self.runs), self.bounds
        made = f"All {n} runs are made" if n >= most else f"{n} of {most} runs are made"
        if not bounds.held_rps:
            lowest = min(run.rate_rps for run in self.runs)
            why = f"{made}, and none was steady and kept the objectives; the lowest was at {lowest:.4g} {self.unit}."
            return Answer(None, 0.0, bounds.missed_rps, n, why)
        why = f"{made}; {bounds.held_rps:.4g} {self.unit} held, and "
        missed = bounds.missed_rps
        why += "no rate was too high." if math.isinf(missed) else f"{missed:.4g} {self.unit} did not."
        return Answer(bounds.held_rps, min(bounds.held_rps, missed), missed, n, why)
