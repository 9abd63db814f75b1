"""`llem doctor`: every preflight check without a study, and what to do about what they find."""

from __future__ import annotations

import json

import click

from llem.errors import EXIT_DONE, EXIT_PREFLIGHT
from llem.specs.check import Finding

MARKS = {"ok": "ok     ", "warning": "warning", "error": "error  "}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def doctor(as_json: bool) -> int:
    """Check this machine: meters, backends, results folder, load; says what to do.

    Ends with exit code 3 where something keeps every study from running. A study's own models and datasets are checked
    when it is run.

    \b
    Examples:
      llem doctor
      llem doctor --json | jq '.findings[] | select(.level != "ok")'
    """
    findings = examine()
    errors = sum(f.level == "error" for f in findings)
    warnings = sum(f.level == "warning" for f in findings)
    if as_json:
        document = {
            "errors": errors,
            "warnings": warnings,
            "findings": [
                {"check": f.check, "level": f.level, "message": f.message, "remedy": f.remedy} for f in findings
            ],
        }
        click.echo(json.dumps(document, ensure_ascii=False, indent=1))
    else:
        for finding in findings:
            click.echo("\n".join(finding_lines(finding)))
        click.echo()
        click.echo(_next_step(errors, warnings))
    return EXIT_PREFLIGHT if errors else EXIT_DONE


def examine() -> list[Finding]:
    """Every check with nothing planned, and what was set aside among plugins."""
    from llem.plugins import default_registry
    from llem.preflight.run import run_checks
    from llem.specs.check import PreflightContext

    registry = default_registry()
    findings = run_checks(registry, PreflightContext())
    for name in registry.checks:
        if not any(f.check == name for f in findings):
            findings.append(Finding(check=name, level="ok", message="nothing to check without a study"))
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


def _next_step(errors: int, warnings: int) -> str:
    if errors:
        return f"{errors} error{'s' * (errors > 1)}: mend what is marked error, then run `llem doctor` again."
    ready = "Ready" if not warnings else f"Ready, with {warnings} warning{'s' * (warnings > 1)} to judge"
    return f"{ready}. Next: llem config init > study.yaml, then llem run study.yaml --dry-run."
