"""The search for the rate of the least joules per good token among those that keep the SLO."""

from __future__ import annotations

from collections.abc import Sequence

from llem_serving.capacity.answer import Answer
from llem_serving.capacity.capacity_search import NOTHING_YET
from llem_serving.capacity.energy_estimate import EnergyEstimate
from llem_serving.capacity.runs import MOST_RUNS, PRECISION, Parts, Steady, check_settings, run_of
from llem_serving.rate_unit import OF_REQUESTS


class EnergySearch:
    """As `CapacitySearch`, for the least energy: its runs tell their energy too."""

    def __init__(
        self,
        attainment: float,
        start_rps: float = 1.0,
        *,
        most_runs: int = MOST_RUNS,
        precision: float = PRECISION,
        unit: str = OF_REQUESTS,
    ) -> None:
        """Begin. Arguments and errors are those of `CapacitySearch`."""
        check_settings(attainment, start_rps, most_runs, precision)
        self._wanted, self._start, self._most, self._precision = attainment, start_rps, most_runs, precision
        self._unit = unit
        self._estimate: EnergyEstimate | None = None

    def ask(self) -> float | None:
        """The next rate to run, in requests per second; None where the search is done."""
        if self._estimate is None:
            return self._start
        return self._estimate.next_rate(self._precision) if len(self._estimate.runs) < self._most else None

    def tell(
        self,
        rate_rps: float,
        attainment_by_part: Parts,
        steady: Steady,
        *,
        energy_by_part: Sequence[tuple[float, float]],
        completed_rps: float | None = None,
        window_s: float | None = None,
    ) -> None:
        """Take in a finished run.

        Args:
            rate_rps, attainment_by_part, steady, completed_rps, window_s: as of `CapacitySearch.tell`.
            energy_by_part: of each part, its joules, and the tokens that requests that kept the objectives were given.

        Raises:
            ConfigError: the figures are impossible.
        """
        run = run_of(rate_rps, attainment_by_part, steady, completed_rps, window_s, energy_by_part)
        before = self._estimate.runs if self._estimate else ()
        self._estimate = EnergyEstimate((*before, run), self._wanted, self._unit)

    def answer(self) -> Answer:
        """The answer that the runs so far give."""
        return self._estimate.answer(self._most, self._precision) if self._estimate else NOTHING_YET
