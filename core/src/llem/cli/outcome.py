"""The end of `llem run` and `llem resume`: a study that goes on, and the text that they print."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

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
    from llem.progress import TextReporter
    from llem.study.resume.resume import resume

    with TextReporter(sys.stderr, quiet=quiet, verbose=verbose) as reporter:
        outcome = resume(directory, registry, reporter, request, skip_preflight=skip)
    print_outcome(outcome, registry, as_json=as_json)
    return outcome.exit_code


def print_outcome(outcome: StudyOutcome, registry: Registry, *, as_json: bool) -> None:
    """Print the study's summary to standard output: for people, or as one JSON document."""
    from llem.cli.summary import SHOWN, study_summary
    from llem.metrics.computed import WithComputed
    from llem.registered_metrics import computed_columns, shown_metrics
    from llem.results.table import StudyTable

    directory = outcome.directory
    source = WithComputed(StudyTable(directory), computed_columns(registry))
    found = study_summary(directory, source, limit=None if as_json else SHOWN, metrics=shown_metrics(registry))
    if as_json:
        click.echo(json.dumps({**found.document(), "exit_code": outcome.exit_code}, ensure_ascii=False, indent=1))
        return
    click.echo(f"\n{found.text()}\n\nresults: {directory}")
