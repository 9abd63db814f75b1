"""The scheduler: starts experiments in the plan's order, as many at once as each pool has slots for, with pauses between."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

from llem.plan.schedule import is_between_cycles
from llem.results.models import ExperimentResult
from llem.results.store import EXPERIMENTS
from llem.runners.failure import Why, failure_summary
from llem.study.context import StudyContext
from llem.study.folder import writing
from llem.study.manifest.manifest import ExperimentState, now_utc
from llem.study.reporter import FollowsPlan, label
from llem.study.resume.set_aside import set_aside
from llem.study.schedule.dispatch import Dispatcher
from llem.study.schedule.pauses import STEP_S, Pause
from llem.study.schedule.pools import ResourcePool, Slot
from llem.study.schedule.running import RunningExperiment
from llem.study.schedule.steering import Steering

if TYPE_CHECKING:
    from llem.plan import Planned

Ending = Literal["complete", "interrupted", "stopped"]


class Account(Protocol):
    """Interface that is told what became of each experiment."""

    def record(self, position: int, state: ExperimentState, **values: Any) -> None:
        """Write it to the manifest."""

    def tell(self, planned: Planned, result: ExperimentResult) -> None:
        """Tell the reporter and the plugins about one that ended."""


class Scheduler:
    """Runs experiments to their ends, in the study's own thread, which alone touches manifest, reporter and hooks.

    Args:
        steering: tells what is to run, in order.
        pools: backend to the pool of its runner.
        total: how many experiments those are, at the most.
    """

    def __init__(
        self,
        context: StudyContext,
        dispatcher: Dispatcher,
        steering: Steering,
        account: Account,
        pools: Mapping[str, ResourcePool],
        total: int,
    ) -> None:
        self._context, self._steering, self._account = context, steering, account
        self._pools, self._dispatcher = pools, dispatcher
        self._distinct = list(dict.fromkeys(pools.values()))
        self._pauses: dict[ResourcePool, Pause] = {}
        self._ending: Ending = "complete"
        self._begin = time.monotonic()
        self._follower = context.reporter if isinstance(context.reporter, FollowsPlan) else None
        if self._follower is not None:
            self._follower.ahead(total, context.execution.most_cycles)
        self._started, self._failures_in_a_row = False, 0

    def run(self) -> Ending:
        """Until everything has ended that is to run. Whatever is under way when this raises is killed."""
        try:
            while True:
                pause_s = self._start_what_may()
                if not self._dispatcher and pause_s is None:
                    break
                for running, result, why in self._dispatcher.wait(min(STEP_S, pause_s or STEP_S)):
                    self._withdrawn(running, result) if why == "Withdrawn" else self._ended(running, result, why)
                    running.pool.give_back(running.slots, running.planned, time.monotonic())
        except BaseException:
            self._dispatcher.abandon()
            raise
        if self._ending == "complete":
            for text in self._steering.unfinished():
                self._context.reporter.message("warning", text)
        return self._ending

    def _ended(self, running: RunningExperiment, result: ExperimentResult, why: Why | None) -> None:
        planned, started_at = running.planned, running.started_at
        state: ExperimentState = "interrupted" if why == "Interrupted" else result.status
        failure = failure_summary(result)
        self._account.record(planned.position, state, started_at=started_at, ended_at=now_utc(), failure=failure)
        self._account.tell(planned, result)
        if state == "interrupted":
            self._ending = "interrupted"
            return
        self._steering.add(planned, result)
        self._failures_in_a_row = 0 if state == "done" else self._failures_in_a_row + 1
        self._dispatcher.withdraw(lambda one: self._steering.spares(one) is not None)

    def _withdrawn(self, running: RunningExperiment, result: ExperimentResult) -> None:
        """Record one that was taken out of a queue. Where it is needed after all, it has its turn again."""
        planned, directory = running.planned, self._context.directory
        self._context.reporter.experiment_finished(planned.position, result.model_dump(mode="json"))
        with writing(directory):
            set_aside(directory, directory / EXPERIMENTS / planned.directory)
        if not self._is_spared(planned):
            self._account.record(planned.position, "pending")
            running.pool.waiting.appendleft(planned)

    def _start_what_may(self) -> float | None:
        """Start what there is room for. Returns how long the first has to wait that only a pause keeps back, else None."""
        pauses = [pause_s for pool in self._distinct if (pause_s := self._serve(pool)) is not None]
        return min(pauses, default=None)

    def _serve(self, pool: ResourcePool) -> float | None:
        """The same of one pool."""
        while self._ending == "complete" and pool.has_free_slot and (planned := self._first(pool)) is not None:
            if self._is_spared(planned):
                pool.waiting.popleft()
                continue
            slots = pool.offer(planned)
            if slots is None or not self._steering.needs(planned) or self._is_over():
                return None
            pause_s = self._pause_s(pool, slots, planned)
            if pause_s > 0 or self._ending != "complete":
                return pause_s if self._ending == "complete" else None
            pool.waiting.popleft()
            self._start(pool, slots, planned)
        return None

    def _first(self, pool: ResourcePool) -> Planned | None:
        """The next experiment of a pool. Those of other pools that come before it wait in theirs."""
        while not pool.waiting:
            if (planned := self._steering.next()) is None:
                return None
            self._pools[planned.config.backend].waiting.append(planned)
        return pool.waiting[0]

    def _start(self, pool: ResourcePool, slots: Sequence[Slot], planned: Planned) -> None:
        self._pauses.pop(pool, None)
        self._started = True
        started_at = now_utc()
        self._account.record(planned.position, "running", started_at=started_at)
        self._dispatcher.start(planned, pool, slots, started_at)

    def _is_spared(self, planned: Planned) -> bool:
        """Tell whether what has ended makes this experiment needless; then that is recorded, and said once."""
        why = self._steering.spares(planned)
        if why is None:
            return False
        self._account.record(planned.position, why.state, reason=why.text)
        if self._follower is not None:
            self._follower.spared(label(planned))
        self._context.reporter.message(why.level, f"{label(planned)}: {why.text}")
        return True

    def _is_over(self) -> bool:
        """Tell whether nothing shall start any more, because of the user or of failures."""
        most = self._context.execution.max_consecutive_failures
        if self._context.interrupts.asked:
            self._ending = "interrupted"
        elif most is not None and self._failures_in_a_row >= most:
            self._stop(f"stopped after {most} failure(s) in a row (execution.max_consecutive_failures).")
        return self._ending != "complete"

    def _pause_s(self, pool: ResourcePool, slots: Sequence[Slot], planned: Planned) -> float:
        """The time to wait before this experiment. A pause that only leads to the budget's end is not waited for."""
        execution, now = self._context.execution, time.monotonic()
        pause_s = pool.pause_s(slots, planned, execution, now)
        budget_s = execution.budget_s
        if budget_s is not None and self._started and now - self._begin + pause_s >= budget_s:
            self._stop(f"stopped: the budget of {budget_s:g} s is used up (execution.budget_s).")
            return 0.0
        if pause_s <= 0:
            return 0.0
        between_cycles = is_between_cycles(execution, max(slot.cycle for slot in slots), planned.cycle)
        pause = self._pauses.setdefault(pool, Pause(self._context.reporter))
        if pause.is_skipped(pause_s, "between cycles" if between_cycles else "between experiments"):
            pool.skip_pause()
            return 0.0
        return pause_s

    def _stop(self, why: str) -> None:
        self._ending = "stopped"
        self._context.reporter.message("error", why)
