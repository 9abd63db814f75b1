"""`llem doctor`: every preflight check without a study, and what to do about what they find."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from llem.plugin_api import BACKENDS, CHECKS, EXIT_DONE, EXIT_PREFLIGHT, Finding, LlemError

if TYPE_CHECKING:
    from llem.plugin_api import Registry
    from llem_start.advice import Machine

NOTHING = "nothing to check without a study"

MARKS = {"ok": "ok     ", "warning": "warning", "error": "error  "}


@click.command()
@click.option("--all", "everything", is_flag=True, help="List the checks too that have nothing to do without a study.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def doctor(registry: Registry, everything: bool, as_json: bool) -> int:
    """Check this machine: meters, backends, results folder, load; says what to do, and what to do next.

    Ends with exit code 3 where something keeps every study from running. A study's own models and datasets are checked
    when it is run.

    \b
    Examples:
      llem doctor
      llem doctor --json | jq '.findings[] | select(.level != "ok")'
    """
    from llem_start.advice import after_doctor

    findings = examine(registry)
    advice = after_doctor(machine_of(registry, findings))
    errors = sum(f.level == "error" for f in findings)
    warnings = sum(f.level == "warning" for f in findings)
    if as_json:
        document = {
            "errors": errors,
            "warnings": warnings,
            "findings": [
                {"check": f.check, "level": f.level, "message": f.message, "remedy": f.remedy} for f in findings
            ],
            "next": {"state": advice.state, "step": advice.step},
        }
        click.echo(json.dumps(document, ensure_ascii=False, indent=1))
    else:
        idle = [] if everything else [finding for finding in findings if finding.message == NOTHING]
        for finding in findings:
            if finding not in idle:
                click.echo("\n".join(finding_lines(finding)))
        if idle:
            noun = f"{len(idle)} checks look" if len(idle) > 1 else "1 check looks"
            click.echo(f"{MARKS['ok']}  {noun} at a study's own settings when it is run (--all lists them)")
        click.echo(f"\n{advice.state}\nNext: {advice.step}")
    return EXIT_PREFLIGHT if errors else EXIT_DONE


def examine(registry: Registry) -> list[Finding]:
    """Every check with nothing planned, and what was set aside among plugins."""
    from llem.plugin_api import PreflightContext, run_checks

    findings = run_checks(PreflightContext(registry=registry))
    for name in registry[CHECKS]:
        if not any(f.check == name for f in findings):
            findings.append(Finding(check=name, level="ok", message=NOTHING))
    for plugin in registry.plugins():
        if plugin.set_aside:
            findings.append(
                Finding(
                    check="plugins",
                    level="warning",
                    message=f"{plugin.label} was set aside: {plugin.set_aside}",
                    remedy=f"pip install --force-reinstall {plugin.distribution}.",
                )
            )
    return findings


def finding_lines(finding: Finding) -> list[str]:
    """A finding for people: level, check and message, and below it what to do."""
    lines = [f"{MARKS[finding.level]}  {finding.check}: {finding.message}"]
    if finding.remedy and finding.level != "ok":
        lines.append(f"         → {finding.remedy}")
    return lines


def machine_of(registry: Registry, findings: Sequence[Finding]) -> Machine:
    """Facts that decide on the next step beside the findings: backends that can run here, ways to read energy."""
    from llem.plugin_api import SamplerClosed, engine_command, missing_requirements, try_samplers
    from llem_start.advice import Machine

    backends = sorted(registry[BACKENDS].values(), key=lambda spec: ("online" in spec.capabilities, spec.name))
    methods: set[str] = set()
    closed: list[SamplerClosed] = []
    has_gpu = False
    for tried in try_samplers(registry, {"cpu_tdp_w": None, "devices": None}):
        if isinstance(tried, SamplerClosed):
            closed.append(tried)
        elif not isinstance(tried, LlemError):
            methods.update(method for device in tried.devices for method in device.methods)
            has_gpu = has_gpu or any(device.scope == "gpu" for device in tried.devices)
    return Machine(
        findings=findings,
        backends={
            spec.name: engine_command(spec, registry, has_gpu=has_gpu) if missing_requirements(spec.requires) else None
            for spec in backends
        },
        set_aside=[plugin.distribution for plugin in registry.plugins() if plugin.set_aside],
        methods=frozenset(methods),
        has_gpu=has_gpu,
        closed=closed,
    )
