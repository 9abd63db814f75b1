"""`llem audit`: a study held against rules before it is published."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from llem.plugin_api import study_folders

if TYPE_CHECKING:
    from llem_analysis.auditing import Audit


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
    from llem_analysis.audit_wording import HEADINGS, cells, summary, to_mend

    yield summary(found)
    yield f"({found.about})"
    yield ""
    yield table(list(HEADINGS), [cells(one) for one in found.outcomes], left=len(HEADINGS))
    for one in found.outcomes:
        if one.status == "failed":
            first, *others = to_mend(one)
            yield from ("", first, *(f"  {line}" for line in others))
