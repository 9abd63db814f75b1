"""Starts experiments on slots that they were given, looks after those that run, and takes their results."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from llem.accelerators import residual
from llem.config.experiment import LimitsConfig
from llem.measure.node import EXCLUSIVE
from llem.results.job_directory import JobDocument
from llem.results.models import ExperimentResult
from llem.results.store import EXPERIMENTS
from llem.runners.failure import Ended, Why
from llem.specs.kinds import BACKENDS
from llem.specs.runner import Job
from llem.study.context import StudyContext
from llem.study.folder import writing
from llem.study.manifest.journal import sync_folder
from llem.study.reporter import label
from llem.study.schedule.pauses import STEP_S
from llem.study.schedule.placement import Placements
from llem.study.schedule.pools import ResourcePool, Slot
from llem.study.schedule.runners import StudyRunners
from llem.study.schedule.running import INTERRUPT_GRACE_S, Limits, RunningExperiment

if TYPE_CHECKING:
    from llem.plan import Planned, RunnerChoice

POLLS = 8
"""Number of running experiments that are polled every `STEP_S`: of more, each has its turn the more seldom."""

LONGEST_POLL_S = 60.0
POLLED_AT_ONCE = 8
"""Number of experiments whose threads wake up every `STEP_S`; of more, each sleeps the longer: together they cost the same."""

_ABANDON_S = 60.0
"""A worker that cannot be killed for so long is left to the system."""


class Dispatcher:
    """The running experiments of a study, of any number. The study's thread alone calls it."""

    def __init__(self, context: StudyContext, runners: StudyRunners) -> None:
        self._context, self._runners = context, runners
        self.placements = Placements(context.execution.placement)
        self._ended: SimpleQueue[RunningExperiment] = SimpleQueue()
        self._running: deque[RunningExperiment] = deque()
        self._polled_at = time.monotonic()
        self._stopping = 0

    def __len__(self) -> int:
        return len(self._running)

    def start(self, planned: Planned, pool: ResourcePool, slots: Sequence[Slot], started_at: str) -> None:
        """Start an experiment on slots that it was offered. It runs when this returns, or it will have failed to.

        Args:
            started_at: now, ISO 8601.

        Raises:
            LlemError: the study's folder cannot be written any more.
        """
        pool.take(slots)
        context = self._context
        gpus = [slot.name for slot in slots] if pool.is_shared_by(slots) else []
        job_dir = context.directory / EXPERIMENTS / planned.directory
        context.reporter.experiment_started(planned.position, label(planned), job_dir)
        here = pool.pauses
        warnings = [*context.machine.warnings(), *self._left_behind(planned, gpus)] if here else []
        document = JobDocument(
            config=planned.config.document(),
            config_hash=planned.config_hash,
            base_dir=str(context.base_dir),
            study=context.directory.name,
            cycle=planned.cycle,
            position=planned.position,
            point=planned.point,
            provenance={**context.provenance, "runner": _provenance(planned.runner)},
            warnings=warnings,
        )
        with writing(job_dir):
            job_dir.mkdir(parents=True)
            document.write(job_dir)
            sync_folder(job_dir.parent)  # or a power loss could take the folder of a result that was recorded
        # Before its worker starts: what a plugin does now is in no figure of this experiment.
        context.notify("llem_experiment_started", job_dir=job_dir, experiment=_facts(planned))
        job = Job(
            directory=job_dir,
            config=planned.config,
            config_hash=planned.config_hash,
            environment={**self._runners.shares.shown(gpus), EXCLUSIVE: "0"} if gpus else {},
            placement=self.placements.of(planned.config_hash),
        )
        limits, execution = planned.config.limits, context.execution
        self._running.append(
            RunningExperiment(
                planned,
                pool,
                slots,
                started_at,
                job=job,
                document=document,
                start=self._runners.of(planned.config.backend, planned.runner).start,
                limits=Limits(
                    timeout_s=_limit(limits, "timeout_s", execution.timeout_s),
                    silence_timeout_s=_limit(limits, "silence_timeout_s", execution.silence_timeout_s),
                ),
                poll_s=min(LONGEST_POLL_S, STEP_S * max(1.0, pool.size / POLLED_AT_ONCE)),
                tell=lambda event: context.reporter.event(planned.position, event),
                ended=self._ended,
            )
        )

    def wait(self, timeout_s: float) -> Iterator[tuple[RunningExperiment, ExperimentResult, Why | None]]:
        """Sleep until something ends or the time is over; look after the rest; give what has ended.

        Each comes with its result, which is on disk, and why it was ended; None where it is done. Its slots are still held.

        Raises:
            LlemError: the study's folder cannot be written any more.
        """
        running = self._next(timeout_s)
        while running is not None:
            self._running.remove(running)
            result, ended = running.outcome()
            self._mention_late_crash(running.planned, result, ended)
            self.placements.ended(running.planned.config_hash, result.environment)
            yield running, result, ended.why if result.status == "failed" else None
            running = self._next(0)
        self._poll()

    def withdraw(self, is_needless: Callable[[Planned], bool]) -> None:
        """Take out of its runner's queue what is needless by now."""
        for running in self._running:
            if running.is_queued and is_needless(running.planned):
                running.stop("Withdrawn", "what had ended made it needless before its turn came.", 0)

    def abandon(self) -> None:
        """Kill everything; for a study that cannot go on."""
        for running in self._running:
            running.stop("Interrupted", "the study ended early.", 0)
        end = time.monotonic() + _ABANDON_S
        for running in self._running:
            running.abandon(max(0.0, end - time.monotonic()))
        self._running.clear()

    def _next(self, timeout_s: float) -> RunningExperiment | None:
        try:
            return self._ended.get(timeout=timeout_s) if timeout_s > 0 else self._ended.get_nowait()
        except Empty:
            return None

    def _poll(self) -> None:
        interrupts = self._context.interrupts
        if interrupts.count > self._stopping and self._running:
            self._stopping = interrupts.count
            for running in self._running:
                grace_s = 0 if interrupts.at_once else INTERRUPT_GRACE_S
                running.stop("Interrupted", "the user interrupted the study.", grace_s)
        now = time.monotonic()
        if now - self._polled_at < STEP_S:
            return
        self._polled_at = now
        for _ in range(min(POLLS, len(self._running))):
            self._running[0].poll()
            self._running.rotate(-1)

    def _left_behind(self, planned: Planned, gpus: Sequence[str]) -> list[dict[str, str]]:
        """Memory and processes of others on these GPUs of this machine, or on all."""
        registry = self._context.registry
        backend = registry.find(BACKENDS, planned.config.backend)
        warnings = residual.residual_memory(registry, backend, planned.config.measurement, gpus)
        for warning in warnings:
            self._context.reporter.message("warning", warning["message"])
        return warnings

    def _mention_late_crash(self, planned: Planned, result: ExperimentResult, ended: Ended) -> None:
        ending = ended.ending
        if result.status == "done" and ended.why == "Crash" and ending is not None and ending.code != 0:
            how = ending.signal or f"exit code {ending.code}"
            text = f"experiment {planned.position} was done, then its worker ended with {how}; the result stands."
            self._context.reporter.message("warning", text)


def _facts(planned: Planned) -> dict[str, Any]:
    return {
        "position": planned.position,
        "cycle": planned.cycle,
        "config_hash": planned.config_hash,
        "point": dict(planned.point),
    }


def _limit(limits: LimitsConfig, name: str, of_study: float) -> float:
    """An experiment's own limit where it gives one, else the study's."""
    return float(getattr(limits, name)) if name in limits.model_fields_set else of_study


def _provenance(choice: RunnerChoice) -> Mapping[str, Any]:
    said = {"name": choice.name, "argument": choice.argument, "origin": str(choice.origin)}
    return said if choice.options is None else {**said, "options": choice.options.model_dump(mode="json")}
