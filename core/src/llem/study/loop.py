"""The study loop: every experiment of a plan, whatever becomes of each, and the account of it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llem.errors import EXIT_DONE, EXIT_EXPERIMENT_FAILED, EXIT_INTERRUPTED, ResultError
from llem.plugins import Registry
from llem.results.aggregate import TableWriter
from llem.results.job_directory import write_json
from llem.results.models import ExperimentResult
from llem.results.store import EXPERIMENTS, SEARCH
from llem.study.context import StudyContext
from llem.study.folder import writing
from llem.study.interrupts import Interrupts
from llem.study.machine import MeasuringMachine
from llem.study.manifest.manifest import UNRUN, ExperimentState, StudyManifest, StudyState, now_utc
from llem.study.manifest.new import entries, new_manifest
from llem.study.manifest.writer import ManifestWriter
from llem.study.reporter import Reporter
from llem.study.resume.plan import Remaining
from llem.study.schedule.dispatch import Dispatcher
from llem.study.schedule.pools import pools_of
from llem.study.schedule.runners import StudyRunners
from llem.study.schedule.scheduler import Ending, Scheduler
from llem.study.schedule.search import SearchAtWork
from llem.study.schedule.steering import Steering
from llem.study.verify import seal

if TYPE_CHECKING:
    from llem.plan import Plan, Planned


@dataclass(frozen=True)
class StudyOutcome:
    """The outcome of a study.

    Attributes:
        state: `complete` only where every experiment ran to an end of its own, done or failed, or was not needed or skipped.
        counts: experiments by state: pending, running, done, failed, interrupted, not_needed, skipped.
        exit_code: 0 all done, not needed or skipped; 1 something failed or was not run; 130 interrupted.
        name: of the study.
        table: has the rows of its results, where any ran; `finish` writes the rest of `results.parquet`.
    """

    state: Ending
    counts: Mapping[str, int]
    name: str
    directory: Path
    exit_code: int
    table: TableWriter | None = None


def run_plan(
    plan: Plan,
    registry: Registry,
    directory: Path,
    reporter: Reporter,
    *,
    provenance: Mapping[str, Any] | None = None,
    continued: Remaining | None = None,
    machine: MeasuringMachine | None = None,
) -> StudyOutcome:
    """Run every experiment of the plan, or those that are left, and record what became of it.

    Signals (SIGINT, SIGTERM, SIGHUP) are taken over while it runs in the main thread, and given back after.

    Args:
        directory: the study's folder, as `llem.study.folder.create` makes it.
        provenance: facts about the study for every result's environment.
        continued: where an earlier run of the study ended; None for a new one.
        machine: this one, which the study has; None where nobody asked for it.

    Raises:
        PluginError: a runner cannot be loaded; nothing has run.
        LlemError: the folder cannot be written any more; what finished is kept.
    """
    with Interrupts() as interrupts:
        context = StudyContext(
            directory=directory,
            base_dir=plan.base_dir,
            execution=plan.execution,
            provenance=provenance or {},
            registry=registry,
            reporter=reporter,
            interrupts=interrupts,
            runners=plan.runners,
            planned=plan.total,
            machine=machine or MeasuringMachine(None),
        )
        runners = StudyRunners(context)
        try:
            for backend, choice in plan.runners.items():
                runners.of(backend, choice)
            return _Study(plan, context, runners, continued).run()
        finally:
            runners.close()


@dataclass
class _Study:
    plan: Plan
    context: StudyContext
    runners: StudyRunners
    continued: Remaining | None = None
    writer: ManifestWriter = field(init=False)
    table: TableWriter = field(init=False)

    def run(self) -> StudyOutcome:
        directory, reporter = self.context.directory, self.context.reporter
        self.table = TableWriter(directory)
        manifest = self.continued.manifest if self.continued else new_manifest(self.plan)
        with writing(directory):
            (directory / EXPERIMENTS).mkdir(exist_ok=True)
            self.writer = ManifestWriter(directory, manifest)
        try:
            total = max(len(manifest.experiments), self.plan.total if self.plan.search else 0)
            execution = self.plan.execution
            at_most = self.plan.search is not None or execution.fewest_cycles < execution.most_cycles
            reporter.study_started(directory, total, at_most=at_most)
            told = {"name": manifest.name, "study_design_hash": manifest.study_design_hash}
            self.context.notify("llem_study_started", study={**told, "experiments": total, "at_most": at_most})
            state = self._run_all()
            with writing(directory):
                self.writer.study(state)
        except BaseException:
            self._leave_in_order()
            raise
        finally:
            self.writer.close()
        manifest = self.writer.manifest
        counts = {key: value for key, value in manifest.totals.items() if key != "experiments"}
        reporter.study_finished(state, counts)
        self.context.notify("llem_study_finished", summary={"state": state, **counts})
        return StudyOutcome(state, counts, manifest.name, directory, exit_code(state, manifest), self.table)

    def _run_all(self) -> Ending:
        dispatcher = Dispatcher(self.context, self.runners)
        plan, ended = self.plan, self.continued.ended if self.continued else ()
        upcoming = self.continued.remaining if self.continued else () if plan.search else plan.experiments
        search = None
        if plan.search is not None:
            known = [*(planned for planned, _ in ended), *upcoming]
            search = SearchAtWork(plan.search, self, known, in_turn=plan.execution.order != "sequential")
        steering = Steering(plan, self.context.registry, upcoming, search)
        for earlier, result in ended:
            steering.add(earlier, result)
            dispatcher.placements.ended(earlier.config_hash, result.environment)
        shares = {backend: self.runners.share(backend) for backend in self.plan.runners}
        pools = pools_of(shares, self.runners.gpus)
        total = plan.total - len(ended) if plan.search else len(upcoming)
        return Scheduler(self.context, dispatcher, steering, self, pools, total).run()

    def add(self, planned: Planned) -> Planned:
        """Take a further experiment into the manifest; returns it at its position."""
        before, manifest = self.writer, self.writer.manifest
        run = replace(planned, position=len(manifest.experiments) + 1)
        rows = [*manifest.experiments, entries()(run, run.position)]
        with writing(self.context.directory):
            # As for a study that goes on: at every instant one of the two manifests is whole on the disk.
            manifest = replace(manifest, experiments=rows, seq=manifest.seq + 1)
            self.writer = ManifestWriter(self.context.directory, manifest)
        before.close()
        if self.plan.search is not None and run.position > 1:
            for sentence in self.plan.search.search.answer()["said"]:
                self.context.reporter.message("info", f"so far: {sentence}")
        return run

    def job_dir(self, position: int) -> Path:
        """The job directory of an experiment."""
        return self.context.directory / self.writer.manifest.experiments[position - 1].directory

    def answer(self, found: Mapping[str, Any]) -> None:
        """Keep the answer of a search, as far as it is."""
        with writing(self.context.directory):
            write_json(self.context.directory / SEARCH, found)

    def record(self, position: int, state: ExperimentState, **values: Any) -> None:
        """Write what became of an experiment to the manifest."""
        with writing(self.context.directory):
            ended = state in ("done", "failed", "interrupted")
            files = seal(self.job_dir(position)) if ended else None
            self.writer.experiment(position, state, files=files, **values)

    def tell(self, planned: Planned, result: ExperimentResult) -> None:
        """Tell the reporter and the plugins about an experiment that ended."""
        data = result.model_dump(mode="json")
        self.context.reporter.experiment_finished(planned.position, data)
        with suppress(ResultError):  # the end of the study tells, and has the row from the job directory
            self.table.add(result, f"{EXPERIMENTS}/{planned.directory}")
        job_dir = self.context.directory / EXPERIMENTS / planned.directory
        self.context.notify("llem_experiment_finished", job_dir=job_dir, result=data)

    def _leave_in_order(self) -> None:
        """After an error of llem itself: the manifest says stopped, if it still can be written."""
        entries = self.writer.manifest.experiments
        with suppress(OSError):  # the error under way tells about the disk already
            for entry in entries:
                if entry.state == "running":
                    self.writer.experiment(
                        entry.position, "interrupted", started_at=entry.started_at, ended_at=now_utc()
                    )
            self.writer.study("stopped")


def exit_code(state: StudyState, manifest: StudyManifest) -> int:
    """The exit code for a study in this state."""
    if state == "interrupted":
        return EXIT_INTERRUPTED
    good = sum(manifest.counts[state] for state in ("done", *UNRUN))
    return EXIT_DONE if good == len(manifest.experiments) else EXIT_EXPERIMENT_FAILED
