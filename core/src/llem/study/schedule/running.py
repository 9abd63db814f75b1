"""A running experiment: a thread of its own sleeps until its worker has ended; the study's thread polls what it tells.

However many run, the study does not spin: each one's thread sleeps in the runner, and the study's own thread polls a few of
them at a time (see `llem.study.schedule.dispatch`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from llem.errors import LlemError
from llem.results.job_directory import EVENTS, POWER, EventReader, JobDocument
from llem.results.models import ExperimentResult
from llem.runners.failure import Ended, Why, final_result
from llem.specs.runner import Exit, Job, Queues, RunningJob
from llem.study.folder import writing
from llem.study.schedule.pools import ResourcePool, Slot

if TYPE_CHECKING:
    from llem.plan import Planned

INTERRUPT_GRACE_S = 5.0
"""Time that a worker may take to end when the user interrupts."""

TIMEOUT_GRACE_S = 2.0
"""And when it ran out of time: long enough to say so in its result, if it still answers."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits that end a job (seconds): the whole of it, and the time without an event. Time in a queue is none."""

    timeout_s: float
    silence_timeout_s: float


class RunningExperiment:
    """One experiment, from its start by a runner to its result on disk. Made, polled and ended by the study's thread.

    Args:
        pool, slots: what it holds.
        started_at: when it started, ISO 8601.
        job: what runs; its directory holds `experiment.json`.
        document: that file's content.
        start: starts the job; called in a thread of its own.
        limits: what ends it.
        poll_s: how long its thread sleeps at a stretch, at the most.
        tell: gets each event of the worker, in the study's thread.
        ended: receives this when its result is on disk, or when there can be none.
    """

    def __init__(
        self,
        planned: Planned,
        pool: ResourcePool,
        slots: Sequence[Slot],
        started_at: str,
        *,
        job: Job,
        document: JobDocument,
        start: Callable[[Job], RunningJob],
        limits: Limits,
        poll_s: float,
        tell: Callable[[Mapping[str, Any]], None],
        ended: SimpleQueue[RunningExperiment],
    ) -> None:
        self.planned, self.pool, self.slots, self.started_at = planned, pool, slots, started_at
        self._job, self._document, self._start, self._limits, self._poll_s = job, document, start, limits, poll_s
        self._tell, self._queue = tell, ended
        self._events = EventReader(job.directory / EVENTS)
        self._how: Ended | None = None
        self._result: ExperimentResult | None = None
        self._error: BaseException | None = None
        self._running: RunningJob | None = None
        self._stop: tuple[Why, str] | None = None
        self._grace_s: float | None = None
        self._since = self._last_sign = time.monotonic()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=f"experiment-{document.position}", daemon=True)
        self._thread.start()

    # For the study's thread.

    @property
    def is_queued(self) -> bool:
        """True where its runner has it wait for its turn."""
        running: object = self._running
        return isinstance(running, Queues) and running.queued()

    def poll(self) -> None:
        """Pass on what is new, and end the job where its time is over."""
        for event in self._events.new():
            if event.get("event") != POWER:
                self._last_sign = time.monotonic()
            self._tell(event)
        now, limits = time.monotonic(), self._limits
        if self._running is None or self._stop is not None:
            return
        if self.is_queued:
            self._since = self._last_sign = now
        elif now - self._since > limits.timeout_s:
            self.stop("Timeout", f"it was not done after {limits.timeout_s:g} s (limits.timeout_s).", TIMEOUT_GRACE_S)
        elif now - self._last_sign > limits.silence_timeout_s:
            text = f"it gave no sign of life for {limits.silence_timeout_s:g} s (limits.silence_timeout_s)."
            self.stop("Silence", text, TIMEOUT_GRACE_S)

    def stop(self, why: Why, message: str, grace_s: float) -> None:
        """Have the job ended; returns at once. The first reason stands, a shorter grace is taken up."""
        with self._lock:
            if self._grace_s is not None and grace_s >= self._grace_s:
                return
            self._stop = self._stop or (why, message)
            self._grace_s = grace_s
            running = self._running
        if running is not None:
            self._order(running, grace_s)

    def outcome(self) -> tuple[ExperimentResult, Ended]:
        """Its result, which is on disk, and how it ended; for one that came out of the queue `ended`.

        Raises:
            LlemError: the study's folder cannot be written any more.
        """
        for event in self._events.new():
            self._tell(event)
        if self._error is not None:
            raise self._error
        assert self._result is not None
        assert self._how is not None
        return self._result, self._how

    def abandon(self, wait_s: float) -> None:
        """Kill the job and wait until that is done, at most so long; for a study that cannot go on."""
        self.stop("Interrupted", "the study ended early.", 0)
        self._thread.join(wait_s)

    # In threads of its own.

    def _run(self) -> None:
        try:
            self._how = self._to_the_end()
            with writing(self._job.directory):
                self._result = final_result(self._job.directory, self._document, self._how)
        except BaseException as error:  # noqa: BLE001 - raised again where the study takes the result
            self._error = self._error or error
        self._queue.put(self)

    def _to_the_end(self) -> Ended:
        started_at = datetime.now(UTC)
        try:
            running = self._start(self._job)
        except LlemError as error:
            kind = type(error).__name__ if type(error) is not LlemError else None
            return Ended(why="StartFailed", message=str(error), started_at=started_at, ending=Exit(error=kind))
        with self._lock:
            self._since = self._last_sign = time.monotonic()
            self._running = running
            grace_s = self._grace_s
        if grace_s is not None:
            self._order(running, grace_s)
        try:
            while (ending := running.wait(self._poll_s)) is None:
                if self._error is not None:
                    raise self._error
        except BaseException:
            running.stop(0)  # whatever went wrong on this side, the job must not go on
            raise
        if self._stop is None:
            return Ended(why="Crash", ending=ending, started_at=started_at)
        why, message = self._stop
        if ending.cause:
            message = f"{message} {ending.cause[:1].upper()}{ending.cause[1:]}."
        return Ended(why=why, message=message, ending=ending, started_at=started_at)

    def _order(self, running: RunningJob, grace_s: float) -> None:
        """Ending takes as long as the grace, and nobody else shall wait for it."""

        def end() -> None:
            try:
                running.stop(grace_s)
            except BaseException as error:  # noqa: BLE001 - as in `_run`
                self._error = error

        threading.Thread(target=end, name=f"stop-{self._document.position}", daemon=True).start()
