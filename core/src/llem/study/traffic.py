"""The start of experiments: as many at once as each lane has room for, in the plan's order, with pauses between."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

from llem.results.models import ExperimentResult
from llem.runners.failure import failure_summary
from llem.study.dispatch import Dispatcher, Surroundings, label
from llem.study.flights import Flights
from llem.study.gaps import STEP_S, Pause
from llem.study.lanes import Lane, Slot
from llem.study.manifest import ExperimentState, now_utc
from llem.study.repetition import Repetition
from llem.study.reporter import TellsTime
from llem.study.time_left import TimeLeft

if TYPE_CHECKING:
    from llem.plan import Planned

Ending = Literal["complete", "interrupted", "stopped"]


class Books(Protocol):
    """Interface that is told what became of each experiment."""

    def record(self, position: int, state: ExperimentState, **values: Any) -> None:
        """Write it to the manifest."""

    def tell(self, planned: Planned, result: ExperimentResult) -> None:
        """Tell the reporter and the plugins about one that ended."""


class Traffic:
    """Runs experiments to their ends, in the study's own thread, which alone touches manifest, reporter and hooks.

    Args:
        lanes: backend to the lane of its runner.
        upcoming: what is to run, in the plan's order.
        total: how many those are.
    """

    def __init__(
        self,
        around: Surroundings,
        dispatcher: Dispatcher,
        repetition: Repetition,
        books: Books,
        lanes: Mapping[str, Lane],
        upcoming: Iterable[Planned],
        total: int,
    ) -> None:
        self._around, self._repetition, self._books = around, repetition, books
        self._lanes = lanes
        self._distinct = list(dict.fromkeys(lanes.values()))
        self._upcoming = iter(upcoming)
        self._flights = Flights(dispatcher, around.interrupts)
        self._pauses: dict[Lane, Pause] = {}
        self._ending: Ending = "complete"
        self._begin = time.monotonic()
        self._time_left = TimeLeft(total, around.execution.most_cycles, self._begin)
        self._started = False
        self._failures_in_a_row = 0

    def run(self) -> Ending:
        """Until everything has ended that is to run. Whatever is under way when this raises is killed."""
        try:
            while True:
                rest_s = self._start_what_may()
                if not self._flights and rest_s is None:
                    break
                for boarded, result, interrupted in self._flights.wait(min(STEP_S, rest_s or STEP_S)):
                    self._landed(boarded.planned, boarded.started_at, result, interrupted)
                    boarded.lane.give_back(boarded.slots, boarded.planned, time.monotonic())
        except BaseException:
            self._flights.abandon()
            raise
        if self._ending == "complete":
            for text in self._repetition.unfinished():
                self._around.reporter.message("warning", text)
        return self._ending

    def _landed(self, planned: Planned, started_at: str, result: ExperimentResult, interrupted: bool) -> None:
        state: ExperimentState = "interrupted" if interrupted else result.status
        failure = failure_summary(result)
        self._books.record(planned.position, state, started_at=started_at, ended_at=now_utc(), failure=failure)
        self._books.tell(planned, result)
        self._time_left.ended(planned.position, time.monotonic())
        self._tell_time_left()
        if interrupted:
            self._ending = "interrupted"
            return
        self._repetition.add(planned, result)
        self._failures_in_a_row = 0 if state == "done" else self._failures_in_a_row + 1

    def _start_what_may(self) -> float | None:
        """Start what there is room for. Returns how long the first has to wait that only a pause keeps back, else None."""
        rests = [rest_s for lane in self._distinct if (rest_s := self._serve(lane)) is not None]
        return min(rests, default=None)

    def _serve(self, lane: Lane) -> float | None:
        """The same of one lane."""
        while self._ending == "complete" and lane.has_room and (planned := self._first(lane)) is not None:
            if self._is_not_needed(planned):
                lane.waiting.popleft()
                continue
            slots = lane.offer(planned)
            if slots is None or not self._repetition.is_due(planned) or self._is_over():
                return None
            rest_s = self._rest_s(lane, slots, planned)
            if rest_s > 0 or self._ending != "complete":
                return rest_s if self._ending == "complete" else None
            lane.waiting.popleft()
            self._start(lane, slots, planned)
        return None

    def _first(self, lane: Lane) -> Planned | None:
        """The next experiment of a lane. Those of other lanes that come before it wait in theirs."""
        while not lane.waiting:
            planned = next(self._upcoming, None)
            if planned is None:
                return None
            self._lanes[planned.config.backend].waiting.append(planned)
        return lane.waiting[0]

    def _start(self, lane: Lane, slots: Sequence[Slot], planned: Planned) -> None:
        self._pauses.pop(lane, None)
        self._started = True
        started_at = now_utc()
        self._books.record(planned.position, "running", started_at=started_at)
        self._time_left.started(planned.position, planned.config_hash, time.monotonic())
        self._flights.start(planned, lane, slots, started_at)
        self._tell_time_left()

    def _is_not_needed(self, planned: Planned) -> bool:
        """Tell whether earlier cycles of this experiment suffice; then that is recorded, and said once."""
        why = self._repetition.enough(planned.config_hash)
        if why is None:
            return False
        self._books.record(planned.position, "not_needed")
        self._time_left.dropped(planned.config_hash)
        level, text = why
        self._around.reporter.message(level, f"{label(planned)}: {text}")
        return True

    def _tell_time_left(self) -> None:
        reporter = self._around.reporter
        if isinstance(reporter, TellsTime):
            reporter.time_left(self._time_left.seconds(time.monotonic()))

    def _is_over(self) -> bool:
        """Tell whether nothing shall start any more, because of the user or of failures."""
        most = self._around.execution.max_consecutive_failures
        if self._around.interrupts.asked:
            self._ending = "interrupted"
        elif most is not None and self._failures_in_a_row >= most:
            self._stop(f"stopped after {most} failure(s) in a row (execution.max_consecutive_failures).")
        return self._ending != "complete"

    def _rest_s(self, lane: Lane, slots: Sequence[Slot], planned: Planned) -> float:
        """The time to wait before this experiment. A pause that only leads to the budget's end is not waited for."""
        execution, now = self._around.execution, time.monotonic()
        rest_s = lane.rest_s(slots, planned, execution, now)
        budget_s = execution.budget_s
        if budget_s is not None and self._started and now - self._begin + rest_s >= budget_s:
            self._stop(f"stopped: the budget of {budget_s:g} s is used up (execution.budget_s).")
            return 0.0
        if rest_s <= 0:
            return 0.0
        between_cycles = planned.cycle > max(slot.cycle for slot in slots) and execution.order != "sequential"
        pause = self._pauses.setdefault(lane, Pause(self._around.reporter))
        if pause.is_skipped(rest_s, "between cycles" if between_cycles else "between experiments"):
            lane.skip_rest()
            return 0.0
        return rest_s

    def _stop(self, why: str) -> None:
        self._ending = "stopped"
        self._around.reporter.message("error", why)
