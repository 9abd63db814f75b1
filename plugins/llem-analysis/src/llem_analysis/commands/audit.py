"""`llem audit`: a study held against rules before it is published."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from llem.plugin_api import study_folders

if TYPE_CHECKING:
    from llem_analysis.auditing import Audit, Outcome


@click.command(
    epilog="Rules: publication, ml-energy, mlperf-power, or a file of YAML, as the page on audits describes it."
)
@click.argument("study", metavar="STUDY", type=click.Path(path_type=Path), shell_complete=study_folders)
@click.option(
    "--rules", metavar="NAME|FILE", default="publication", show_default=True, help="The rules that it is held against."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def audit(study: Path, rules: str, as_json: bool) -> int:
    """Hold a study against rules: may it be published?

    Rule by rule passed, failed or not applicable, with the value, the limit and where the limit comes from, the worst first. A
    set of rules is a file of YAML; yours may be one too.

    \b
    Exit codes: 0 no rule failed, 1 one did; 2 configuration or usage.

    \b
    Examples:
      llem audit results/demo-20260101T120000Z
      llem audit results/demo-20260101T120000Z --rules ml-energy
      llem audit results/demo-20260101T120000Z --rules ours.yaml --json
    """
    from llem_analysis.auditing import audit as judge

    found = judge(study, rules)
    if as_json:
        click.echo(json.dumps(found.document(), ensure_ascii=False, indent=1, allow_nan=False, default=str))
    else:
        click.echo("\n".join(audit_lines(found)))
    return found.exit_code


def audit_lines(found: Audit) -> Iterator[str]:
    """An audit for people: a table, then what failed with what to do."""
    from llem.plugin_api import table

    counts = found.counts
    yield f"{found.study} by the rules {found.rules}: {counts['failed']} failed, {counts['passed']} passed, {counts['not_applicable']} not applicable"
    yield f"({found.about})"
    yield ""
    yield table(["rule", "outcome", "value", "limit", "source"], [_row(one) for one in found.outcomes], left=5)
    for one in found.outcomes:
        if one.status == "failed":
            yield ""
            yield from _failed(one)


def _row(one: Outcome) -> list[str]:
    from llem.plugin_api import NOTHING, one_line
    from llem_analysis.audit_rules import shown

    word = {"failed": "failed", "passed": "passed", "not_applicable": "not applicable"}[one.status]
    many = f" ({one.failing} of {one.of})" if one.of > 1 and one.failing else ""
    unit = f" {one.unit}" if one.unit and isinstance(one.value, int | float) else ""
    value = NOTHING if one.value is None else f"{one_line(shown(one.value), 50)}{unit}"
    return [one.id, f"{word}{many}", value, one.limit, one_line(one.source, 60)]


def _failed(one: Outcome) -> Iterator[str]:
    yield f"{one.id} asks that {one.says}. {one.remedy}"
    more = one.failing - len(one.where)
    if one.where:
        yield f"  {', '.join(one.where)}{f' and {more} more' if more else ''}"
    if one.reason is not None:
        yield f"  {one.reason}"
