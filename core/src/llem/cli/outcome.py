"""What `llem run` and `llem resume` print at a study's end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from llem.study.loop import StudyOutcome


def print_outcome(outcome: StudyOutcome, *, as_json: bool) -> None:
    """Print the study's summary to standard output: for people, or as one JSON document."""
    from llem.analysis.summary import summarise
    from llem.cli.show import study_document, study_text
    from llem.results.rows import study_rows

    configurations = summarise(study_rows(outcome.directory))
    document = study_document(outcome.directory, configurations)
    if as_json:
        click.echo(json.dumps({**document, "exit_code": outcome.exit_code}, ensure_ascii=False, indent=1))
        return
    click.echo(f"\n{study_text(document, configurations)}\n\nresults: {outcome.directory}")
