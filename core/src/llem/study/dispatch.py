"""Takes one experiment from the plan to a result on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llem.config.experiment import LimitsConfig
from llem.config.study import ExecutionConfig
from llem.errors import LlemError
from llem.plugins import Registry, load_object
from llem.results.job_directory import EVENTS, EventReader, JobDocument
from llem.results.models import ExperimentResult
from llem.results.scrub import scrub
from llem.results.store import EXPERIMENTS
from llem.runners.failure import Ended, settle
from llem.specs.runner import Exit, Job, Runner, RunnerContext
from llem.study import residual
from llem.study.folder import writing
from llem.study.interrupts import Interrupts
from llem.study.placement import Placements
from llem.study.reporter import Reporter
from llem.study.watch import watch

if TYPE_CHECKING:
    from llem.plan import Planned, RunnerChoice


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What all experiments of a study have in common.

    Attributes:
        directory: the study's folder.
        base_dir: the folder that relative paths in configurations start from.
        provenance: facts about the study for every result.
    """

    directory: Path
    base_dir: Path
    execution: ExecutionConfig
    provenance: Mapping[str, Any]
    registry: Registry
    reporter: Reporter
    interrupts: Interrupts


class Dispatcher:
    """Runs experiments one at a time, each by the runner that the plan chose for it."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self.placements = Placements(around.execution.placement)
        self._runners: dict[tuple[str, str, str | None], Runner] = {}

    def runner(self, backend: str, choice: RunnerChoice) -> Runner:
        """The runner of a backend, made at its first use. Raises PluginError where it cannot be."""
        key = (backend, choice.name, choice.argument)
        if key not in self._runners:
            registry = self._around.registry
            made = load_object(registry.runner(choice.name).runner)
            self._runners[key] = made(
                RunnerContext(
                    argument=choice.argument,
                    study_id=self._around.directory.name,
                    backend=backend,
                    image=registry.backend(backend).image,
                )
            )
        return self._runners[key]

    def run(self, planned: Planned) -> tuple[ExperimentResult, bool]:
        """Run one experiment to its end.

        Returns:
            Its result, which is on disk, and whether the user interrupted it.

        Raises:
            LlemError: the study's folder cannot be written any more.
        """
        around = self._around
        job_dir = around.directory / EXPERIMENTS / planned.directory
        around.reporter.experiment_started(planned.position, label(planned), job_dir)
        warnings = residual.find(around.registry.backend(planned.config.backend), planned.config.measurement)
        for warning in warnings:
            around.reporter.message("warning", warning["message"])
        document = JobDocument(
            config=planned.config.document(),
            config_hash=planned.config_hash,
            base_dir=str(around.base_dir),
            study=around.directory.name,
            cycle=planned.cycle,
            position=planned.position,
            point=planned.point,
            provenance={**around.provenance, "runner": _provenance(planned.runner)},
            warnings=warnings,
        )
        with writing(job_dir):
            job_dir.mkdir(parents=True)
            document.write(job_dir)
        ended = self._supervise(planned, job_dir)
        with writing(job_dir):
            result = settle(job_dir, document, ended)
        self._mention_late_crash(planned, result, ended)
        self.placements.ended(planned.config_hash, result.environment)
        return result, ended.why == "Interrupted" and result.status == "failed"

    def _supervise(self, planned: Planned, job_dir: Path) -> Ended:
        around = self._around
        started_at = datetime.now(UTC)
        job = Job(
            directory=job_dir,
            config=planned.config,
            config_hash=planned.config_hash,
            placement=self.placements.of(planned.config_hash),
        )
        try:
            running = self.runner(planned.config.backend, planned.runner).start(job)
        except LlemError as error:
            kind = type(error).__name__ if type(error) is not LlemError else None
            return Ended(why="StartFailed", message=str(error), started_at=started_at, ending=Exit(error=kind))
        limits, execution = planned.config.limits, around.execution
        return watch(
            running,
            EventReader(job_dir / EVENTS),
            timeout_s=_limit(limits, "timeout_s", execution.timeout_s),
            silence_timeout_s=_limit(limits, "silence_timeout_s", execution.silence_timeout_s),
            started_at=started_at,
            tell=lambda event: around.reporter.event(planned.position, event),
            interrupts=around.interrupts,
        )

    def _mention_late_crash(self, planned: Planned, result: ExperimentResult, ended: Ended) -> None:
        ending = ended.ending
        if result.status == "done" and ended.why == "Crash" and ending is not None and ending.code != 0:
            how = ending.signal or f"exit code {ending.code}"
            self._around.reporter.message(
                "warning",
                f"experiment {planned.position} was done, then its worker ended with {how}; the result stands.",
            )

    def close(self) -> None:
        """Close every runner."""
        for runner in self._runners.values():
            runner.close()


def label(planned: Planned) -> str:
    """What distinguishes an experiment, for people; without secrets."""
    return scrub(", ".join(f"{key}={value}" for key, value in planned.point.items())) or planned.config.backend


def _limit(limits: LimitsConfig, name: str, of_study: float) -> float:
    """An experiment's own limit where it gives one, else the study's."""
    return float(getattr(limits, name)) if name in limits.model_fields_set else of_study


def _provenance(choice: RunnerChoice) -> dict[str, Any]:
    return {"name": choice.name, "argument": choice.argument, "origin": str(choice.origin)}
