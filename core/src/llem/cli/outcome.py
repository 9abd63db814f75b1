"""The end of `llem run` and `llem resume`: a study that goes on, and the text that they print."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from llem.plugins import Registry
    from llem.study.loop import StudyOutcome
    from llem.study.resume.request import ResumeRequest


def go_on(
    directory: Path,
    registry: Registry,
    request: ResumeRequest,
    skip: Sequence[str],
    *,
    quiet: bool,
    verbose: bool,
    as_json: bool,
) -> int:
    """Go on with the study in a folder and print what came of it; returns the exit code."""
    from llem.progress import reporter_for_people
    from llem.study.resume.resume import resume

    with reporter_for_people(registry, sys.stderr, quiet=quiet, verbose=verbose) as reporter:
        outcome = resume(directory, registry, reporter, request, skip_preflight=skip)
    print_outcome(outcome, registry, as_json=as_json)
    return outcome.exit_code


def print_outcome(outcome: StudyOutcome, registry: Registry, *, as_json: bool) -> None:
    """Print the study's summary to standard output: for people, or as one JSON document. The table is llem-analysis's."""
    from llem.cli.summary import failure_lines, first_line, last_lines, study_head
    from llem.errors import PluginError
    from llem.study.manifest.manifest import recover

    try:
        found = _with_table(registry)(outcome.directory, registry, as_json=as_json)
        document, text = found.document, found.text
    except PluginError as error:
        counts = {"experiments": sum(outcome.counts.values()), **outcome.counts}
        head = study_head(outcome.directory, outcome.name, outcome.state, counts)
        failures = [
            {"directory": entry.directory, **entry.failure}
            for entry in recover(outcome.directory).manifest.experiments
            if entry.state == "failed" and entry.failure is not None
        ]
        lacking = f"no table of figures: {error.what} {error.remedy}"
        told = ["", *failure_lines(failures)] if failures else []
        lines = [first_line(head), *told, *last_lines(head), "", lacking]
        document, text = lambda: {**head, "failures": failures}, lambda: "\n".join(lines)
    if as_json:
        click.echo(json.dumps({**document(), "exit_code": outcome.exit_code}, ensure_ascii=False, indent=1))
        return
    click.echo(f"\n{text()}\n\nresults: {outcome.directory}")


def _with_table(registry: Registry) -> Callable[..., Any]:
    """The function of llem-analysis that sums up a study. Raises PluginError where it is not there."""
    from llem.distributions import missing_command
    from llem.plugins import load_object
    from llem.specs.kinds import COMMANDS

    if "show" not in registry[COMMANDS] and (missing := missing_command("show", registry)) is not None:
        raise missing
    summary: Callable[..., Any] = load_object("llem_analysis.study_summary:ended_study")
    return summary
