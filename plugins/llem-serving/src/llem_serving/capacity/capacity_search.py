"""The search for capacity: the highest steady rate whose attainment is at least the wanted one."""

from __future__ import annotations

import math

from llem_serving.capacity.answer import Answer
from llem_serving.capacity.capacity_estimate import CapacityEstimate, Limit
from llem_serving.capacity.runs import MOST_RUNS, PRECISION, Parts, Steady, check_settings, run_of
from llem_serving.rate_unit import OF_REQUESTS

NOTHING_YET = Answer(None, 0.0, math.inf, 0, "Nothing has run yet.")


class CapacitySearch:
    """A search that asks for runs and is told them; it runs nothing itself.

    The next question follows from the runs alone: told the same runs again, a search goes on where it was. Each run has
    to draw its own arrivals: runs that share a seed share its chance, and the answer would have it too.
    """

    def __init__(
        self,
        attainment: float,
        start_rps: float = 1.0,
        *,
        most_runs: int = MOST_RUNS,
        precision: float = PRECISION,
        unit: str = OF_REQUESTS,
    ) -> None:
        """Begin.

        Args:
            attainment: the wanted one, between 0 and 1.
            start_rps: rate of the first run.
            most_runs: the search ends with so many at the latest.
            precision: it ends when the bracket reaches no further than this from the answer, as a share of it.
            unit: of rates, for sentences.

        Raises:
            ConfigError: a value is impossible.
        """
        check_settings(attainment, start_rps, most_runs, precision)
        self._wanted, self._start, self._most, self._precision = attainment, start_rps, most_runs, precision
        self._unit = unit
        self._estimate: CapacityEstimate | None = None

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
        completed_rps: float | None = None,
        window_s: float | None = None,
    ) -> None:
        """Take in a finished run.

        Args:
            rate_rps: the rate that was asked for.
            attainment_by_part: of each part of the window, requests that kept the objectives, and all requests.
            steady: True, False, or `saturated`.
            completed_rps: requests per second that were answered: of a saturated run it shortens the search.
            window_s: length of the window, of equal parts. With it the number of arrivals that chance brought is no noise.

        Raises:
            ConfigError: the figures are impossible.
        """
        run = run_of(rate_rps, attainment_by_part, steady, completed_rps, window_s)
        before = self._estimate.runs if self._estimate else ()
        self._estimate = CapacityEstimate((*before, run), self._wanted, self._unit)

    @property
    def limited_by(self) -> Limit | None:
        """The reason why capacity is not higher, by the runs so far; None where no rate was too high."""
        return self._estimate.limited_by if self._estimate else None

    def answer(self) -> Answer:
        """The answer that the runs so far give."""
        return self._estimate.answer(self._most, self._precision) if self._estimate else NOTHING_YET
