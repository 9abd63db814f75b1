"""Runs every check that a plan touches, all before anything starts. A check that fails itself stops nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from llem.errors import ConfigError, LlemError
from llem.plugins import load_object
from llem.results.scrub import scrub
from llem.specs.check import CheckSpec, Finding, PreflightContext
from llem.specs.kinds import BACKENDS, CHECKS, RUNNERS
from llem.specs.runner import Runner, RunnerContext
from llem.spelling import closest


def run_checks(context: PreflightContext, skip: Iterable[str] = ()) -> list[Finding]:
    """Run the checks of all plugins that this plan touches, then each used runner's own.

    Args:
        context: what is planned, with the registry that has the checks and runners; one without runners (`llem doctor`) runs every check.
        skip: names of checks, or of runners, to leave out.

    Returns:
        All findings, each with its check's name. A check that raises something unforeseen gives a warning that names its
        plugin: a broken check must not keep a healthy study from running.

    Raises:
        ConfigError: `skip` has a name that no check and no runner has.
    """
    registry, left_out = context.registry, frozenset(skip)
    _refuse_unknown(left_out, [*registry[CHECKS], *registry[RUNNERS]])
    used = {runner.partition(":")[0] for runner in context.runners.values()}
    findings: list[Finding] = []
    for name, spec in registry[CHECKS].items():
        if name not in left_out and _concerns(spec, context, used):
            label = registry.provider(CHECKS, name).label
            findings += _guarded(name, label, _call(spec, context))
    for backend, runner in context.runners.items():
        name, _, argument = runner.partition(":")
        if name not in left_out:
            label = registry.provider(RUNNERS, name).label
            findings += _guarded(name, label, _ask_runner(backend, name, argument or None, context))
    return list(dict.fromkeys(_without_secrets(finding) for finding in findings))


def _without_secrets(finding: Finding) -> Finding:
    remedy = None if finding.remedy is None else scrub(finding.remedy)
    return replace(finding, message=scrub(finding.message), remedy=remedy)


def _refuse_unknown(names: frozenset[str], known: Sequence[str]) -> None:
    for name in sorted(names - set(known)):
        near = closest(name, known)
        hint = f"Did you mean `{near}`?" if near else f"There is: {', '.join(sorted(known))}."
        raise ConfigError(f"there is no preflight check `{name}`.", where="--skip-preflight", remedy=hint)


def _concerns(spec: CheckSpec, context: PreflightContext, runners: set[str]) -> bool:
    if not context.runners:
        return True
    backends_meet = not spec.backends or not spec.backends.isdisjoint(context.runners)
    return backends_meet and (not spec.runners or not spec.runners.isdisjoint(runners))


def _call(spec: CheckSpec, context: PreflightContext) -> Callable[[], Iterable[Finding]]:
    def ask() -> Iterable[Finding]:
        found: Iterable[Finding] = load_object(spec.check)(context)
        return found

    return ask


def _ask_runner(
    backend: str, name: str, argument: str | None, context: PreflightContext
) -> Callable[[], Iterable[Finding]]:
    def ask() -> Iterable[Finding]:
        registry = context.registry
        spec = registry.find(BACKENDS, backend)
        runner: Runner = load_object(registry.find(RUNNERS, name).runner)(
            RunnerContext(
                registry=registry,
                argument=argument,
                backend=backend,
                image=spec.image,
                cpu_image=spec.cpu_image,
                options=context.runner_options.get(name),
            )
        )
        try:
            found = _unplaced(name, context)
            return [*found, *runner.preflight([e for e in context.experiments if e.backend == backend])]
        finally:
            runner.close()

    return ask


def _unplaced(name: str, context: PreflightContext) -> list[Finding]:
    """Findings where a runner cannot place cycles as the study asks; empty where it can, or nothing is asked."""
    registry, rule = context.registry, context.placement
    if rule == "any" or rule in registry.find(RUNNERS, name).placements:
        return []
    able = [other for other, spec in registry[RUNNERS].items() if rule in spec.placements]
    instead = f"Use a runner that can ({', '.join(able)}), or" if able else "No installed runner can:"
    return [
        Finding(
            level="error",
            message=f"the runner `{name}` cannot place cycles by `execution.placement: {rule}`",
            remedy=f"{instead} set execution.placement to any.",
        )
    ]


def _guarded(name: str, label: str, ask: Callable[[], Iterable[Finding]]) -> list[Finding]:
    try:
        found = list(ask())
        if wrong := next((f for f in found if not isinstance(f, Finding)), None):
            raise TypeError(f"it returns a {type(wrong).__name__}, not a Finding")
        return [replace(f, check=f.check or name) for f in found]
    except LlemError as error:
        return [Finding(level="error", message=error.what, remedy=error.remedy, check=name)]
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a third party's check does
        what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return [
            Finding(
                level="warning",
                message=f"the check itself failed, so nothing is known: {what}",
                remedy=f"It comes from {label}; --skip-preflight {name} leaves it out.",
                check=name,
            )
        ]
