"""The study loop: every experiment of a plan, one after the other, whatever becomes of each."""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from llem.errors import EXIT_DONE, EXIT_EXPERIMENT_FAILED, EXIT_INTERRUPTED
from llem.plan.schedule import gap_s
from llem.plugins import Registry
from llem.results.models import ExperimentResult
from llem.results.scrub import scrub, scrub_data
from llem.results.store import EXPERIMENTS
from llem.runners.failure import failure_summary
from llem.study.dispatch import Dispatcher, Surroundings, label
from llem.study.folder import STUDY_FILE, writing
from llem.study.gaps import pause
from llem.study.interrupts import AtOnce, Interrupts
from llem.study.manifest import Entry, ExperimentState, ManifestWriter, StudyManifest, StudyState, now_utc
from llem.study.repetition import Repetition
from llem.study.reporter import Reporter

if TYPE_CHECKING:
    from llem.plan import Plan, Planned


@dataclass(frozen=True)
class StudyOutcome:
    """How a study ended.

    Attributes:
        state: `complete` only where every experiment ran to an end of its own, done or failed, or was not needed.
        counts: experiments by state: pending, running, done, failed, interrupted, not_needed.
        exit_code: 0 all done or not needed; 1 something failed or was not run; 130 interrupted.
    """

    state: Literal["complete", "interrupted", "stopped"]
    counts: Mapping[str, int]
    directory: Path
    exit_code: int


def run_plan(
    plan: Plan, registry: Registry, directory: Path, reporter: Reporter, *, provenance: Mapping[str, Any] | None = None
) -> StudyOutcome:
    """Run every experiment of the plan and record what became of it.

    Signals (SIGINT, SIGTERM, SIGHUP) are taken over while it runs in the main thread, and given back after.

    Args:
        directory: the study's folder, as `llem.study.folder.create` makes it.
        provenance: facts about the study for every result's environment.

    Raises:
        PluginError: a runner cannot be loaded; nothing has run.
        LlemError: the folder cannot be written any more; what finished is kept.
    """
    with Interrupts() as interrupts:
        around = Surroundings(
            directory=directory,
            base_dir=plan.base_dir,
            execution=plan.execution,
            provenance=provenance or {},
            registry=registry,
            reporter=reporter,
            interrupts=interrupts,
        )
        dispatcher = Dispatcher(around)
        try:
            for backend, choice in plan.runners.items():
                dispatcher.runner(backend, choice)
            return _Study(plan, around, dispatcher, Repetition(plan.execution.until)).run()
        finally:
            dispatcher.close()


@dataclass
class _Study:
    plan: Plan
    around: Surroundings
    dispatcher: Dispatcher
    repetition: Repetition
    failures_in_a_row: int = 0
    begin: float = field(default_factory=time.monotonic)
    writer: ManifestWriter = field(init=False)

    def run(self) -> StudyOutcome:
        directory, reporter = self.around.directory, self.around.reporter
        manifest = _new_manifest(self.plan)
        with writing(directory):
            (directory / EXPERIMENTS).mkdir(exist_ok=True)
            if self.plan.source is not None:
                (directory / STUDY_FILE).write_text(self.plan.source, encoding="utf-8")
            self.writer = ManifestWriter(directory, manifest)
        try:
            reporter.study_started(directory, len(manifest.experiments))
            self._notify(
                "llem_study_started",
                study={
                    "name": manifest.name,
                    "study_design_hash": manifest.study_design_hash,
                    "experiments": len(manifest.experiments),
                },
            )
            state = self._run_all()
            with writing(directory):
                self.writer.study(state)
        except BaseException:
            self._leave_in_order()
            raise
        finally:
            self.writer.close()
        counts = {key: value for key, value in manifest.totals.items() if key != "experiments"}
        reporter.study_finished(state, counts)
        self._notify("llem_study_finished", summary={"state": state, **counts})
        return StudyOutcome(state, counts, directory, _exit_code(state, manifest))

    def _run_all(self) -> Literal["complete", "interrupted", "stopped"]:
        entries = self.writer.manifest.experiments
        last: Entry | None = None
        for planned, entry in zip(self.plan.experiments, entries, strict=True):
            if self._is_not_needed(planned):
                continue
            if last is not None and not self._pause_before(last, entry):
                return "interrupted" if self.around.interrupts.asked else "stopped"
            if self.around.interrupts.asked:
                return "interrupted"
            last = entry
            started_at = now_utc()
            self._record(planned.position, "running", started_at=started_at)
            result, interrupted = self.dispatcher.run(planned)
            state: ExperimentState = "interrupted" if interrupted else result.status
            self._record(
                planned.position,
                state,
                started_at=started_at,
                ended_at=now_utc(),
                failure=failure_summary(result),
            )
            self._tell(planned.position, planned.directory, result)
            if interrupted:
                return "interrupted"
            self.repetition.add(planned, result)
            self.failures_in_a_row = 0 if state == "done" else self.failures_in_a_row + 1
        for text in self.repetition.unfinished():
            self.around.reporter.message("warning", text)
        return "complete"

    def _is_not_needed(self, planned: Planned) -> bool:
        """Whether earlier cycles of this experiment suffice; then that is recorded, and said once."""
        why = self.repetition.enough(planned.config_hash)
        if why is None:
            return False
        self._record(planned.position, "not_needed")
        level, text = why
        self.around.reporter.message(level, f"{label(planned)}: {text}")
        return True

    def _pause_before(self, last: Entry, following: Entry) -> bool:
        """Wait between two experiments. False where the next one shall not run."""
        execution, reporter = self.around.execution, self.around.reporter
        most = execution.max_consecutive_failures
        if most is not None and self.failures_in_a_row >= most:
            reporter.message("error", f"stopped after {most} failure(s) in a row (execution.max_consecutive_failures).")
            return False
        seconds = gap_s(execution, last.cycle, following.cycle)
        if self._over_budget(seconds):
            return False
        between_cycles = following.cycle > last.cycle and execution.order != "sequential"
        pause(seconds, "between cycles" if between_cycles else "between experiments", reporter, self.around.interrupts)
        return not self.around.interrupts.asked

    def _over_budget(self, gap: float) -> bool:
        """Whether the next experiment would start after the budget's end. A gap that only leads there is not waited for."""
        budget_s = self.around.execution.budget_s
        if budget_s is None or time.monotonic() - self.begin + gap < budget_s:
            return False
        self.around.reporter.message("error", f"stopped: the budget of {budget_s:g} s is used up (execution.budget_s).")
        return True

    def _record(self, position: int, state: ExperimentState, **values: Any) -> None:
        with writing(self.around.directory):
            self.writer.experiment(position, state, **values)

    def _tell(self, position: int, folder: str, result: ExperimentResult) -> None:
        data = result.model_dump(mode="json")
        self.around.reporter.experiment_finished(position, data)
        job_dir = self.around.directory / EXPERIMENTS / folder
        self._notify("llem_experiment_finished", job_dir=job_dir, result=data)

    def _notify(self, event: str, **arguments: Any) -> None:
        """Call a hook of every plugin. The second interrupt does not wait for one that hangs."""
        around = self.around
        with suppress(AtOnce), around.interrupts.urgent():
            around.registry.notify(
                event,
                lambda text: around.reporter.message("warning", text),
                study_dir=around.directory,
                **arguments,
            )

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


def _new_manifest(plan: Plan) -> StudyManifest:
    execution = plan.execution
    known = cache(scrub)

    def hidden(value: Any) -> Any:
        # Few texts make many points: each is looked through once.
        return known(value) if isinstance(value, str) else scrub_data(value)

    return StudyManifest(
        name=plan.name,
        created_at=now_utc(),
        llem_version=importlib.metadata.version("llem"),
        study_design_hash=plan.study_design_hash,
        order=execution.order,
        seed=execution.seed,
        cycles=execution.most_cycles,
        until=execution.until.model_dump(mode="json") if execution.until.ci_width is not None else None,
        experiments=[
            Entry(
                position=planned.position,
                cycle=planned.cycle,
                config_hash=planned.config_hash,
                directory=f"{EXPERIMENTS}/{planned.directory}",
                point={key: hidden(value) for key, value in planned.point.items()},
            )
            for planned in plan.experiments
        ],
    )


def _exit_code(state: StudyState, manifest: StudyManifest) -> int:
    if state == "interrupted":
        return EXIT_INTERRUPTED
    good = manifest.counts["done"] + manifest.counts["not_needed"]
    return EXIT_DONE if good == len(manifest.experiments) else EXIT_EXPERIMENT_FAILED
