"""A study from its plan to its results: checks, folder, experiments, `results.parquet`. The command line and the library use it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llem.config.experiment import ExperimentConfig
from llem.config.section import Section
from llem.distributions import missing_dataset
from llem.errors import LlemError, PluginError, PreflightError, ResultError
from llem.plan.runners import moved
from llem.plugins import Registry, load_object
from llem.preflight.checks import check_requirements
from llem.preflight.run import run_checks
from llem.results.aggregate import TableWriter
from llem.specs.check import Finding, PreflightContext
from llem.specs.kinds import CHECKS, DATASETS, SAMPLERS
from llem.specs.registry import HookKind
from llem.study import folder
from llem.study.hosts import host
from llem.study.lock import Lock
from llem.study.loop import StudyOutcome, run_plan
from llem.study.machine import MeasuringMachine, this_machine
from llem.study.record import keep_study_file, record_of
from llem.study.reporter import Reporter

if TYPE_CHECKING:
    from llem.config.layers import LoadedStudy
    from llem.plan import Plan


def run_study(
    study: LoadedStudy,
    plan: Plan,
    registry: Registry,
    reporter: Reporter,
    *,
    output: Path,
    runner: str | None = None,
    skip_preflight: Iterable[str] = (),
) -> StudyOutcome:
    """Check, then run the plan, then bring its results together.

    Args:
        study: what the plan was made of; its file's commit and its overridden keys go into every result.
        output: the folder in which the study's own folder is made.
        runner: what the plan was made with, to go on with the same.
        skip_preflight: names of checks to leave out.

    Raises:
        PluginError: the study names a dataset or an energy sampler that no plugin brings.
        PreflightError: everything that checks found wrong, at once; no folder was made.
        LlemError: as `run_plan`.
    """
    with ready_machine(study, plan, registry, reporter, output=output, skip_preflight=skip_preflight) as ready:
        directory = folder.create(output, plan.name)
        with Lock(directory):
            with folder.writing(directory):
                record_of(study, runner=runner, hosts=[host(registry)]).write(directory)
                keep_study_file(directory, study.text)
            outcome = run_plan(plan, registry, directory, reporter, provenance=ready.facts, machine=ready.machine)
            bring_together(directory, outcome.state, outcome.table)
    return outcome


@dataclass(frozen=True)
class Ready:
    """A study that has passed its checks.

    Attributes:
        facts: about the study, for every result's environment.
    """

    facts: Mapping[str, Any]
    machine: MeasuringMachine


@contextmanager
def ready_machine(
    study: LoadedStudy,
    plan: Plan,
    registry: Registry,
    reporter: Reporter,
    *,
    output: Path,
    skip_preflight: Iterable[str] = (),
    allow_shared: bool = False,
) -> Iterator[Ready]:
    """Check what a plan needs, and have this machine until left.

    What is wrong with the study is told before anything is waited for. Where another llem had the machine first all is
    looked at again: it was busy then.

    Raises:
        PluginError, PreflightError: as `run_study`.
    """
    facts, findings = prepare(study, plan, registry, reporter, output=output, skip_preflight=skip_preflight)
    with this_machine(plan, registry, reporter, allow_shared=allow_shared) as machine:
        if machine.waited:
            facts, findings = prepare(study, plan, registry, reporter, output=output, skip_preflight=skip_preflight)
        machine.findings = findings
        yield Ready(facts, machine)


def prepare(
    study: LoadedStudy,
    plan: Plan,
    registry: Registry,
    reporter: Reporter,
    *,
    output: Path,
    skip_preflight: Iterable[str] = (),
) -> tuple[dict[str, Any], list[Finding]]:
    """Check what a plan needs, tell what was found, and return the facts for every result's environment, and the findings.

    Raises:
        PluginError, PreflightError: as `run_study`.
    """
    context = preflight_context(plan, registry, output)
    missing = missing_plugins(context)
    findings = run_checks(context, skip_preflight) if not missing else looked_up(context, skip_preflight)
    report_findings(findings, reporter, missing)
    for note in (*study.notes, *moved(plan.runners)):
        reporter.message("info", note)
    warned = [{"check": f.check, "message": f.message} for f in findings if f.level == "warning"]
    told = {"preflight_warnings": warned, "preflight_skipped": sorted(set(skip_preflight))}
    return provenance(study) | {key: found for key, found in told.items() if found}, findings


def bring_together(directory: Path, state: str, table: TableWriter | None = None, *, verify: bool = False) -> None:
    """Write `results.parquet`, or the rest of it where `table` has been at it.

    Args:
        verify: an earlier run left a table that may be damaged.

    Raises:
        LlemError: it cannot be written; the results are kept.
    """
    try:
        (table or TableWriter(directory)).finish(verify=verify)
    except ResultError as error:
        raise LlemError(
            f"the study ended ({state}) and its results are kept; their table is not: {error.what}",
            where=error.where,
            remedy=f"Make room or mend it, then: llem show {directory} --rebuild.",
        ) from error


def provenance(study: LoadedStudy) -> dict[str, Any]:
    """Facts about a study for every result's environment: its file, the commit of that, and what overrode it."""
    commit = study.git_commit()
    unknown = {"git_unknown": commit.reason} if commit is not None and commit.reason is not None else {}
    return {
        **unknown,
        "study_file": study.path.name if study.path is not None else None,
        "git_commit": commit.commit if commit is not None else None,
        "git_dirty": commit.dirty if commit is not None else None,
        "overridden": {
            key: origin.kind
            for key, origin in study.origins.items()
            if origin.kind in {"command line", "environment", "user file"}
        },
    }


def preflight_context(plan: Plan, registry: Registry, output: Path) -> PreflightContext:
    """The context of the checks: one of each combination of backend, options, model, dataset, measurement and what the scenario brings."""
    texts: dict[int, tuple[Section, str]] = {}

    def text(section: Section) -> str:
        # Experiments of a sweep share their sections; each is written out once. The section is kept, so its id stays its own.
        if id(section) not in texts:
            texts[id(section)] = (section, section.model_dump_json())
        return texts[id(section)][1]

    distinct: dict[tuple[str, ...], ExperimentConfig] = {}
    for planned in plan.experiments:
        config = planned.config
        parts = (config.options, config.model, config.dataset, config.measurement, *config.sections.values())
        distinct.setdefault((config.backend, *map(text, parts)), config)
    return PreflightContext(
        registry=registry,
        experiments=tuple(distinct.values()),
        runners={
            backend: f"{choice.name}:{choice.argument}" if choice.argument else choice.name
            for backend, choice in plan.runners.items()
        },
        output=output,
        base_dir=plan.base_dir,
        planned=plan.total,
        placement=plan.execution.placement,
        parallel=plan.execution.parallel,
        runner_options={c.name: c.options for c in plan.runners.values() if c.options is not None},
    )


def missing_plugins(context: PreflightContext) -> list[PluginError]:
    """An error for each dataset and each energy sampler that a study names and no plugin brings."""
    named: list[tuple[HookKind[Any], str]] = [(DATASETS, e.dataset.name) for e in context.experiments]
    named += [(SAMPLERS, name) for e in context.experiments for name in e.measurement.samplers or ()]
    found = []
    for kind, name in dict.fromkeys(named):
        try:
            context.registry.find(kind, name)
        except PluginError as error:
            found.append((kind is DATASETS and missing_dataset(name, context.registry)) or error)
    return found


def looked_up(context: PreflightContext, skip_preflight: Iterable[str] = ()) -> list[Finding]:
    """The findings on what a plan names: models and datasets. Looks at no meter and no load."""
    known = [e for e in context.experiments if e.dataset.name in context.registry[DATASETS]]
    checks = context.registry[CHECKS]
    return [
        replace(finding, check=name)
        for name, seen in (("models", context), ("datasets", replace(context, experiments=known)))
        if name in checks and name not in set(skip_preflight)
        for finding in load_object(checks[name].check)(seen)
    ]


def refuse_missing(plan: Plan, registry: Registry, reporter: Reporter, skip_preflight: Sequence[str] = ()) -> None:
    """Raise as `run_study` would where a plan names a dataset, a sampler, a model or a file that is not there.

    An engine that is not installed here is a warning that says what it needs: a plan may be made where it will not run.

    Raises:
        PluginError, PreflightError: as `run_study`.
    """
    context = preflight_context(plan, registry, Path())
    needs = [] if "requirements" in skip_preflight else [f for f in check_requirements(context) if f.level == "error"]
    findings = [replace(f, level="warning", check="requirements") for f in needs]
    report_findings([*findings, *looked_up(context, skip_preflight)], reporter, missing_plugins(context))


def report_findings(findings: Sequence[Finding], reporter: Reporter, missing: Sequence[PluginError] = ()) -> None:
    """Tell what the checks found wrong; raises all errors at once.

    Which meters are used the first worker says: it reads them, here or elsewhere, and once is enough.

    Args:
        missing: what no plugin brings.

    Raises:
        PluginError: something is missing; PreflightError: nothing is, and a check failed.
    """
    for finding in findings:
        if finding.level == "warning":
            remedy = f" {finding.remedy}" if finding.remedy else ""
            reporter.message("warning", f"{finding.check}: {finding.message}.{remedy}")
    errors = [f for f in findings if f.level == "error"]
    if len(missing) == 1 and not errors:
        raise missing[0]
    if len(errors) == 1 and not missing:
        only = errors[0]
        raise PreflightError(f"{only.message.rstrip('.')}.", where=f"preflight {only.check}", remedy=only.remedy)
    lines = [f"  plugins: {error}" for error in missing]
    lines += [f"  {f.check}: {f.message.rstrip('.')}.{f' {f.remedy}' if f.remedy else ''}" for f in errors]
    if missing:
        raise PluginError("\n".join([f"{len(lines)} things are wrong; nothing has run:", *lines]))
    if errors:
        raise PreflightError("\n".join([f"{len(errors)} preflight checks failed; nothing has run:", *lines]))
