"""The text that `llem run` and `llem resume` print at a study's end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from llem.plugins import Registry
    from llem.study.loop import StudyOutcome


def print_outcome(outcome: StudyOutcome, registry: Registry, *, as_json: bool) -> None:
    """Print the study's summary to standard output: for people, or as one JSON document."""
    from llem.cli.summary import SHOWN, summary_of
    from llem.metrics.computed import WithComputed
    from llem.registered_metrics import computed_columns, shown_metrics
    from llem.results.table import StudyTable

    directory = outcome.directory
    source = WithComputed(StudyTable(directory), computed_columns(registry))
    found = summary_of(directory, source, limit=None if as_json else SHOWN, metrics=shown_metrics(registry))
    if as_json:
        click.echo(json.dumps({**found.document(), "exit_code": outcome.exit_code}, ensure_ascii=False, indent=1))
        return
    click.echo(f"\n{found.text()}\n\nresults: {directory}")
