"""Takes one experiment from the plan to a flight, and from its landing to a result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from llem.accelerators import residual
from llem.accelerators.sharing import Shares, shares_here
from llem.config.experiment import LimitsConfig
from llem.config.study import ExecutionConfig
from llem.measure.node import EXCLUSIVE
from llem.plugins import Registry, load_object
from llem.results.job_directory import JobDocument
from llem.results.models import ExperimentResult
from llem.results.scrub import scrub
from llem.results.store import EXPERIMENTS
from llem.runners.failure import Ended
from llem.specs.kinds import BACKENDS, RUNNERS
from llem.specs.runner import Job, Runner, RunnerContext
from llem.study.flight import Flight, Limits
from llem.study.folder import writing
from llem.study.gaps import STEP_S
from llem.study.interrupts import AtOnce, Interrupts
from llem.study.journal import sync_folder
from llem.study.lanes import Room
from llem.study.machine import Machine
from llem.study.placement import Placements
from llem.study.reporter import Reporter

if TYPE_CHECKING:
    from llem.plan import Planned, RunnerChoice


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """Everything that all experiments of a study have in common.

    Attributes:
        directory: the study's folder.
        base_dir: the folder that relative paths in configurations start from.
        provenance: facts about the study for every result.
        runners: backend to where it runs.
        planned: how many experiments there are, cycles counted.
        machine: this one, and what is to be said of it.
    """

    directory: Path
    base_dir: Path
    execution: ExecutionConfig
    provenance: Mapping[str, Any]
    registry: Registry
    reporter: Reporter
    interrupts: Interrupts
    runners: Mapping[str, RunnerChoice]
    planned: int
    machine: Machine

    def notify(self, event: str, **arguments: Any) -> None:
        """Call an event hook of every plugin. The second interrupt does not wait for one that hangs."""
        with suppress(AtOnce), self.interrupts.urgent():
            self.registry.notify(
                event,
                lambda text: self.reporter.message("warning", text),
                study_dir=self.directory,
                **arguments,
            )


LONGEST_BEAT_S = 60.0
BEATS_AT_ONCE = 8
"""Number of flights that wake up every `STEP_S`; of more, each sleeps the longer: together they cost the same."""


class Dispatcher:
    """Starts experiments, each by the runner that the plan chose for it, and takes what became of them."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._shares = shares_here(around.registry) if around.execution.parallel == "by_gpu" else Shares()
        self.placements = Placements(around.execution.placement)
        self._runners: dict[tuple[str, str, str | None], Runner] = {}

    @property
    def gpus(self) -> Sequence[str]:
        """Ids of this machine's GPUs where experiments on different ones run side by side; else empty."""
        return self._shares.ids

    def runner(self, backend: str, choice: RunnerChoice) -> Runner:
        """The runner of a backend, made at its first use. Raises PluginError where it cannot be."""
        key = (backend, choice.name, choice.argument)
        if key not in self._runners:
            registry = self._around.registry
            spec = registry.find(BACKENDS, backend)
            made = load_object(registry.find(RUNNERS, choice.name).runner)
            self._runners[key] = made(
                RunnerContext(
                    registry=registry,
                    argument=choice.argument,
                    study_id=self._around.directory.name,
                    study_dir=self._around.directory.absolute(),
                    backend=backend,
                    image=spec.image,
                    cpu_image=spec.cpu_image,
                    options=choice.options,
                    at_once=max(1, len(self.gpus)) if registry.find(RUNNERS, choice.name).by_gpu else 1,
                    warm_start=self._starts_warm(backend),
                )
            )
        return self._runners[key]

    def _starts_warm(self, backend: str) -> bool:
        """Tell whether it is worth a template: one experiment alone would wait for the same imports."""
        around = self._around
        return around.planned > 1 and around.execution.warm_start and around.registry.find(BACKENDS, backend).warm_start

    def room(self, backend: str) -> Room:
        """The number of experiments of a backend that may run at once, and what they share."""
        registry, choice = self._around.registry, self._around.runners[backend]
        spec = registry.find(BACKENDS, backend)

        def needed(planned: Planned) -> int | None:
            return spec.gpus_of(planned.config.options)

        runs = registry.find(RUNNERS, choice.name)
        if not runs.on_this_machine:
            return Room(elsewhere=max(1, self.runner(backend, choice).capacity()))
        return Room(gpus=needed if len(self.gpus) > 1 and runs.by_gpu else None)

    def launch(
        self,
        planned: Planned,
        *,
        at_once: int,
        landed: SimpleQueue[Flight],
        gpus: Sequence[str] = (),
        here: bool = True,
    ) -> Flight:
        """Start one experiment. It runs when this returns, or it will have failed to.

        Args:
            at_once: how many experiments may be under way beside it, itself counted.
            landed: receives the flight at its end.
            gpus: ids of the GPUs that it may use, where it has neighbours on the others; empty where it has none.
            here: whether it runs on this machine.

        Raises:
            LlemError: the study's folder cannot be written any more.
        """
        around = self._around
        job_dir = around.directory / EXPERIMENTS / planned.directory
        around.reporter.experiment_started(planned.position, label(planned), job_dir)
        warnings = [*around.machine.warnings(), *self._left_behind(planned, gpus)] if here else []
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
            sync_folder(job_dir.parent)  # or a power loss could take the folder of a result that was recorded
        # Before its worker starts: what a plugin does now is in no figure of this experiment.
        around.notify("llem_experiment_started", job_dir=job_dir, experiment=_facts(planned))
        job = Job(
            directory=job_dir,
            config=planned.config,
            config_hash=planned.config_hash,
            environment={**self._shares.shown(gpus), EXCLUSIVE: "0"} if gpus else {},
            placement=self.placements.of(planned.config_hash),
        )
        runner = self.runner(planned.config.backend, planned.runner)
        limits, execution = planned.config.limits, around.execution
        return Flight(
            job,
            document,
            runner.start,
            limits=Limits(
                timeout_s=_limit(limits, "timeout_s", execution.timeout_s),
                silence_timeout_s=_limit(limits, "silence_timeout_s", execution.silence_timeout_s),
            ),
            beat_s=min(LONGEST_BEAT_S, STEP_S * max(1.0, at_once / BEATS_AT_ONCE)),
            tell=lambda event: around.reporter.event(planned.position, event),
            landed=landed,
        )

    def land(self, planned: Planned, flight: Flight) -> tuple[ExperimentResult, bool]:
        """The result of a flight that has landed, and whether the user interrupted it.

        Raises:
            LlemError: the study's folder cannot be written any more.
        """
        result, ended = flight.land()
        self._mention_late_crash(planned, result, ended)
        self.placements.ended(planned.config_hash, result.environment)
        return result, ended.why == "Interrupted" and result.status == "failed"

    def _left_behind(self, planned: Planned, gpus: Sequence[str]) -> list[dict[str, str]]:
        """Memory and processes of others on these GPUs of this machine, or on all."""
        registry = self._around.registry
        backend = registry.find(BACKENDS, planned.config.backend)
        warnings = residual.find(registry, backend, planned.config.measurement, gpus)
        for warning in warnings:
            self._around.reporter.message("warning", warning["message"])
        return warnings

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


def _facts(planned: Planned) -> dict[str, Any]:
    return {
        "position": planned.position,
        "cycle": planned.cycle,
        "config_hash": planned.config_hash,
        "point": dict(planned.point),
    }


def label(planned: Planned) -> str:
    """A name that distinguishes an experiment, for people; without secrets."""
    return scrub(", ".join(f"{key}={value}" for key, value in planned.point.items())) or planned.config.backend


def _limit(limits: LimitsConfig, name: str, of_study: float) -> float:
    """An experiment's own limit where it gives one, else the study's."""
    return float(getattr(limits, name)) if name in limits.model_fields_set else of_study


def _provenance(choice: RunnerChoice) -> dict[str, Any]:
    said = {"name": choice.name, "argument": choice.argument, "origin": str(choice.origin)}
    return said if choice.options is None else {**said, "options": choice.options.model_dump(mode="json")}
