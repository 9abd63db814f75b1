"""A study that was started before goes on: what is finished is checked and kept, the rest is run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from llem.errors import ResultError
from llem.files import inside, read_file
from llem.plan import Plan
from llem.plugins import Registry, load_object, missing_requirements
from llem.results.job_directory import EXPERIMENT, RESULT, JobDocument
from llem.results.parts import PARQUET
from llem.results.places import nothing_here, several_here
from llem.results.scrub import scrub_data
from llem.results.store import EXPERIMENTS, MANIFEST, is_study
from llem.specs.kinds import RUNNERS
from llem.study.folder import STUDY_FILE, writing
from llem.study.hosts import host
from llem.study.lock import Lock
from llem.study.loop import StudyOutcome, exit_code, run_plan
from llem.study.manifest.journal import JOURNAL
from llem.study.manifest.manifest import UNRUN, Entry, ManifestError, Recovered, StudyManifest, now_utc, recover
from llem.study.manifest.new import new_manifest
from llem.study.manifest.writer import ManifestWriter
from llem.study.record import RECORD, StudyRecord, keep_study_file, read_record, record_of
from llem.study.reporter import Reporter
from llem.study.resume.changes import StudyToResume, study_to_resume
from llem.study.resume.inspection import Inspection, inspect_results, update_entry
from llem.study.resume.plan import Remaining, ResumePlan, resume_plan
from llem.study.resume.report import told
from llem.study.resume.request import ResumeRequest
from llem.study.resume.set_aside import SET_ASIDE, keep_aside, set_aside
from llem.study.run import Ready, bring_together, ready_machine

_WRITTEN = (EXPERIMENTS, SET_ASIDE, PARQUET)
"""Folders in a study's folder that a study which goes on writes to."""


def resume(
    directory: Path,
    registry: Registry,
    reporter: Reporter,
    request: ResumeRequest,
    *,
    skip_preflight: Iterable[str] = (),
) -> StudyOutcome:
    """Go on with the study in this folder, whatever state it is in.

    Nothing is deleted: job directories that cannot be kept are moved to `set-aside/` in the study's folder.

    Raises:
        ResultError: the folder is no study's, or there is no telling what the study was.
        ConfigError: the study was changed, and changes are not allowed; or more cycles cannot be had.
        PluginError, PreflightError: as `llem.study.run.run_study`; PreflightError also where another llem works on it.
        LlemError: the folder cannot be written.
    """
    folder = study_folder(directory)
    with Lock(folder) as lock:
        if lock.doubt:
            reporter.message("warning", lock.doubt)
        _reclaim(folder, registry, reporter)
        found = find(folder, registry, reporter, request)
        return _go_on(found, registry, reporter, skip_preflight, request.allow_shared)


def _reclaim(folder: Path, registry: Registry, reporter: Reporter) -> None:
    """Let every runner end what an earlier llem left of this study. Raises LlemError where it cannot be sure of that."""
    for spec in registry[RUNNERS].values():
        # A runner that cannot work here has left nothing that could be ended from here.
        if spec.reclaim and not missing_requirements(spec.requires):
            for text in load_object(spec.reclaim)(folder):
                reporter.message("info", text)


def study_folder(directory: Path) -> Path:
    """The absolute path of a study's folder. Raises ResultError where it is none."""
    folder = directory.expanduser().absolute()
    if folder.is_file() and folder.name in (MANIFEST, RECORD):
        folder = folder.parent
    if not folder.exists():
        raise nothing_here(directory)
    if folder.is_dir() and is_study(folder):
        for name in _WRITTEN:
            inside(folder, name)
        return folder
    if folder.parent.name == EXPERIMENTS and is_study(folder.parent.parent):
        raise ResultError(
            "this is one experiment's folder, not a study's.",
            where=str(directory),
            remedy=f"Resume its study: llem resume {folder.parent.parent}.",
        )
    if (several := several_here(directory.expanduser(), "llem resume ")) is not None:
        raise several
    raise ResultError(
        f"this is no study's folder: it has neither {MANIFEST} nor {EXPERIMENTS}/.",
        where=str(directory),
        remedy="Give the folder that `llem run` named, such as results/NAME-TIMESTAMP. To start a study: llem run STUDY.yaml.",
    )


@dataclass(frozen=True)
class Resumable:
    """A study as it was found, before anything in it is changed.

    Attributes:
        before: the record of its last start; None where it is lost.
        plan: its experiments as they are now, at their positions in the manifest.
        inspection: what the job directories prove.
        recovered: the manifest that was read; None where there was none.
        strays: job directories that belong to no experiment of the study.
    """

    directory: Path
    before: StudyRecord | None
    to_resume: StudyToResume
    plan: ResumePlan
    inspection: Inspection
    recovered: Recovered | None
    strays: Sequence[Path]

    @property
    def remaining(self) -> list[int]:
        """Positions of what will run, in order."""
        kept = self.inspection.kept
        return [
            entry.position
            for entry in self.plan.manifest.experiments
            if entry.position not in kept and entry.state not in UNRUN
        ]


def find(folder: Path, registry: Registry, reporter: Reporter, request: ResumeRequest) -> Resumable:
    """Find out what there is and what is to be done, and tell it. Nothing is changed. Raises as `resume`."""
    try:
        before: StudyRecord | None = read_record(folder)
    except ResultError as error:
        if request.study is None:
            raise ResultError(
                f"what this study was started with cannot be told: {error.what}",
                where=error.where,
                remedy=f"Give it again, with the options of then: llem run STUDY.yaml --resume {folder}.",
            ) from error
        before = None
    try:
        recovered: Recovered | None = recover(folder)
    except ManifestError as error:
        recovered = None
        reporter.message("warning", f"{error} It is made anew from the study and the results that are there.")
    for text in recovered.damage if recovered else ():
        reporter.message("warning", text)
    to_resume = study_to_resume(folder, before, request, registry)
    manifest = recovered.manifest if recovered else _made_anew(folder, to_resume.plan)
    plan = resume_plan(manifest, to_resume.plan)
    to_resume.check(plan, manifest, request)
    for text in to_resume.notes:
        reporter.message("info", text)
    execution = to_resume.plan.execution
    with writing(folder):
        found = inspect_results(
            folder,
            plan.manifest.experiments,
            retry_failed=request.retry_failed,
            with_results=execution.until.ci_width is not None
            or execution.placement != "any"
            or to_resume.plan.skips
            or to_resume.plan.search is not None,
        )
    _reopen(plan, manifest, found, run_all=execution.run_all)
    result = Resumable(folder, before, to_resume, plan, found, recovered, _strays(folder, plan))
    for level, text in told(result, registry):
        reporter.message(level, text)
    return result


def _reopen(plan: ResumePlan, manifest: StudyManifest, found: Inspection, *, run_all: bool) -> None:
    """Experiments that were not needed or skipped are looked at again where what made them so has changed."""
    entries = plan.manifest.experiments
    lost = {e.config_hash for e in entries if e.position in {*found.gone, *found.damaged, *found.again}}
    for entry in entries:
        if entry.state == "not_needed" and (plan.manifest.until != manifest.until or entry.config_hash in lost):
            entry.state = "pending"
        if entry.state == "skipped" and (lost or run_all):
            entry.state = "pending"


def _strays(folder: Path, plan: ResumePlan) -> list[Path]:
    known = {entry.directory for entry in plan.manifest.experiments}
    root = folder / EXPERIMENTS
    return [
        path
        for path in (sorted(root.iterdir()) if root.is_dir() else ())
        if f"{EXPERIMENTS}/{path.name}" not in known and ((path / EXPERIMENT).exists() or (path / RESULT).exists())
    ]


def _made_anew(folder: Path, planned: Plan) -> StudyManifest:
    """A manifest of the plan alone, with the job directories that are there, whatever position they were named for."""
    manifest, there = new_manifest(planned), {}
    for path in sorted((folder / EXPERIMENTS).iterdir()) if (folder / EXPERIMENTS).is_dir() else ():
        with suppress(ResultError):
            job = JobDocument.read(path)
            there[job.config_hash, job.cycle] = directory = f"{EXPERIMENTS}/{path.name}"
            if planned.search is not None:
                position = len(manifest.experiments) + 1
                manifest.experiments.append(
                    Entry(position, job.cycle, job.config_hash, directory, scrub_data(job.point))
                )
    for entry in manifest.experiments:
        entry.directory = there.get((entry.config_hash, entry.cycle), entry.directory)
    return manifest


def _go_on(
    found: Resumable, registry: Registry, reporter: Reporter, skip_preflight: Iterable[str], allow_shared: bool
) -> StudyOutcome:
    if not found.remaining and found.to_resume.plan.search is None:
        return _carry_on(found, registry, reporter, None)
    with ready_machine(
        found.to_resume.study,
        found.to_resume.plan,
        registry,
        reporter,
        output=found.directory.parent,
        skip_preflight=skip_preflight,
        allow_shared=allow_shared,
    ) as ready:
        return _carry_on(found, registry, reporter, ready)


def _carry_on(found: Resumable, registry: Registry, reporter: Reporter, ready: Ready | None) -> StudyOutcome:
    """Run what remains; `ready` is None where nothing does."""
    folder, runs = found.directory, found.plan.runs
    remaining = runs.only(found.remaining)
    with writing(folder):
        _tidy(found)
        hosts = [*(found.before.hosts if found.before else ()), *([host(registry)] if remaining else [])]
        record_of(found.to_resume.study, runner=found.to_resume.runner, hosts=hosts).write(folder)
        _replace_study_file(found)
    manifest = found.plan.manifest
    if ready is not None:
        facts = {**ready.facts, "resumed": len(found.before.hosts) if found.before else 1}
        ended = [
            (planned, found.inspection.results[planned.position]) for planned in runs.only(found.inspection.results)
        ]
        manifest = replace(manifest, state="running", ended_at=None, seq=manifest.seq + 1)
        outcome = run_plan(
            found.to_resume.plan,
            registry,
            folder,
            reporter,
            provenance=facts,
            continued=Remaining(manifest, remaining, ended),
            machine=ready.machine,
        )
    else:
        outcome = _close(folder, replace(manifest, state="complete", seq=manifest.seq + 1))
    bring_together(folder, outcome.state, outcome.table, verify=True)
    return outcome


def _replace_study_file(found: Resumable) -> None:
    """Put the study file of now into the folder, and the one of before aside. An edit that is not followed stays. Raises OSError."""
    folder, text = found.directory, found.to_resume.study.text
    before, copy = found.before.text if found.before else None, folder / STUDY_FILE
    if text is None or (text == before and copy.exists()):
        return
    if copy.exists() and read_file(copy) != text.encode():
        set_aside(folder, copy)
    elif before not in (None, text):
        keep_aside(folder, STUDY_FILE, before or "")
    keep_study_file(folder, text)


def _close(folder: Path, manifest: StudyManifest) -> StudyOutcome:
    """Nothing is left to run: the manifest says so."""
    manifest.ended_at = manifest.ended_at or now_utc()
    with writing(folder):
        ManifestWriter(folder, manifest).close()
    counts = {key: value for key, value in manifest.totals.items() if key != "experiments"}
    return StudyOutcome("complete", counts, manifest.name, folder, exit_code("complete", manifest))


def _tidy(found: Resumable) -> None:
    """Move away what the study does not go on with, and bring every entry to what was found. Raises OSError."""
    folder, entries = found.directory, found.plan.manifest.experiments
    for leftover in folder.glob(".*.tmp"):
        leftover.unlink(missing_ok=True)
    if found.recovered is not None and found.recovered.torn:
        set_aside(folder, folder / JOURNAL)
    for stray in found.strays:
        set_aside(folder, stray)
    if found.recovered is None or found.recovered.damage:
        set_aside(folder, folder / MANIFEST)
    for entry in found.plan.dropped:
        set_aside(folder, folder / entry.directory)
    names = {planned.position: planned.directory for planned in found.plan.runs.only(found.remaining)}
    for position, name in names.items():
        entry = entries[position - 1]
        for path in {folder / entry.directory, folder / EXPERIMENTS / name}:
            set_aside(folder, path)
    for entry in entries:
        if entry.state not in UNRUN:
            update_entry(folder, entry, found.inspection, f"{EXPERIMENTS}/{names.get(entry.position, '')}")
