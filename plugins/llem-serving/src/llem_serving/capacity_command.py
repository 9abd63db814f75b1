"""`llem capacity`: a study that searches for a rate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from llem.plugin_api import RunningCommand, registry_of, run_as_llem_run
from llem_serving.capacity.giving_way import giving_way

_OF_RUN = (
    "runner",
    "settings",
    "output",
    "resume",
    "retry_failed",
    "allow_changes",
    "no_gaps",
    "skip_preflight",
    "allow_shared",
    "dry_run",
    "quiet",
    "verbose",
    "as_json",
)
"""Options of `llem run` that mean the same here."""


@click.command(cls=RunningCommand, of_run=_OF_RUN)
@click.argument("study", metavar="STUDY.yaml", type=click.Path(path_type=Path))
@click.option(
    "--slo",
    metavar="KEY=VALUE",
    multiple=True,
    help="An objective: ttft_s, tpot_s or e2e_s, or the attainment; repeatable. Else those of the study hold.",
)
@click.option(
    "--goal",
    type=click.Choice(["capacity", "least_energy"]),
    default="capacity",
    show_default=True,
    help="What the runs are chosen for; both are answered as far as they tell.",
)
@click.option("--max-runs", type=click.IntRange(min=1), help="Most runs of each configuration.", show_default="10")
@click.option("--precision", metavar="SHARE", help="The search ends with a bracket so narrow.", show_default="2 %")
@click.pass_context
def capacity(
    context: click.Context,
    /,
    study: Path,
    *,
    slo: Sequence[str],
    goal: str,
    max_runs: int | None,
    precision: str | None,
    settings: Sequence[str],
    **passed: Any,
) -> int:
    """Search for the highest steady rate that keeps objectives.

    Runs the study's load at one rate after another, each a normal experiment of one study folder, and chooses the next by what
    was seen: few runs, and a bracket for the answer. load.rate_rps is the first rate. Of a study that sweeps it the middle one is,
    and the others are left out, as are its cycles. Each configuration of the study is searched by itself. The answer is in
    search.json in the folder. `llem resume` goes on after an end of any kind.

    \b
    Examples:
      llem capacity study.yaml --slo ttft_s=0.2 --slo attainment=0.95
      llem capacity study.yaml --slo ttft_s=0.2 --goal least_energy --max-runs 12
      llem capacity study.yaml --slo ttft_s=0.2 --dry-run
      llem capacity study.yaml --resume results/demo-20260101T120000Z --max-runs 20 --allow-changes

    \b
    Exit codes are those of `llem run`.
    """
    chosen = {"goal": goal, "max_runs": max_runs, "precision": precision}
    given = [f"execution.search.{key}={value}" for key, value in chosen.items() if value is not None]
    of_study = [*(f"slo.{one}" for one in slo), *settings]
    found = giving_way(study, registry_of(context), of_study)
    for one in found.things:
        if not passed["quiet"]:
            click.echo(f"llem: {one.said}", err=True)
        given.append(one.setting)
    settings = (*given, *of_study)
    # What gives way to the search has been told: the notes are those on what the user's own settings replace.
    return run_as_llem_run(context, study=study, settings=settings, notes=found.notes, **passed)
