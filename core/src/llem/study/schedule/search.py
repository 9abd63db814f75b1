"""A search at work: hands out the runs that it asks for, tells it what came of them, and keeps its answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from llem.results.models import ExperimentResult

if TYPE_CHECKING:
    from llem.plan import Planned
    from llem.plan.search import PlannedSearch


class StudyOfSearch(Protocol):
    """Interface of the study that a search is at work in."""

    def add(self, planned: Planned) -> Planned:
        """Take a further experiment into the manifest; returns it at its position."""

    def job_dir(self, position: int) -> Path:
        """The job directory of an experiment."""

    def answer(self, found: Mapping[str, Any]) -> None:
        """Keep the answer of a search, as far as it is."""


class SearchAtWork:
    """Asks for one run of a configuration at a time: in turn, or one configuration after the other.

    Args:
        planned: the search.
        study: keeps the runs, and the answer.
        known: runs of earlier starts of the study, those that are yet to run included.
        in_turn: give every configuration a run before any has the next.
    """

    def __init__(
        self, planned: PlannedSearch, study: StudyOfSearch, known: Iterable[Planned], *, in_turn: bool = True
    ) -> None:
        self._planned, self._study, self._in_turn = planned, study, in_turn
        self._runs = Counter(dict.fromkeys(range(len(planned.bases)), 0))
        self._cycles: Counter[int] = Counter()
        self._under_way: Counter[int] = Counter()
        for run in known:
            number = planned.numbers[run.config_hash]
            self._runs[number] += 1
            self._cycles[number] = max(self._cycles[number], run.cycle)
            self._under_way[number] += 1
        # What an earlier start has left may be the answer to another question.
        self._study.answer(planned.search.answer())

    def next(self) -> Planned | None:
        """The next run; None where there is none now, or none at all."""
        numbers = sorted(self._runs, key=lambda number: self._runs[number]) if self._in_turn else sorted(self._runs)
        for number in numbers:
            may_run = not self._under_way[number] and self._runs[number] < self._planned.most
            if may_run and (value := self._planned.search.next(number)) is not None:
                for count in (self._runs, self._cycles, self._under_way):
                    count[number] += 1
                return self._study.add(self._planned.run(number, value, self._cycles[number]))
        return None

    def ended(self, run: Planned, result: ExperimentResult) -> None:
        """A run ended, done or failed; the answer is written anew."""
        number, value = self._planned.numbers[run.config_hash], run.point[self._planned.key]
        self._under_way[number] -= 1
        self._planned.search.ended(number, float(value), result, self._study.job_dir(run.position))
        self._study.answer(self._planned.search.answer())
