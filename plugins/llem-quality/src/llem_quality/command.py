"""`llem quality`: the accuracy of each configuration of a finished study."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llem.plugin_api import RunningCommand, registry_of, run_as_llem_run, study_folders

if TYPE_CHECKING:
    from llem_quality.study_document import QualityStudy

FOLDER = "quality"
_OF_RUN = ("settings", "no_gaps", "skip_preflight", "allow_shared", "dry_run", "quiet", "verbose")
"""Options of `llem run` that mean the same here."""


@click.command(cls=RunningCommand, of_run=_OF_RUN)
@click.argument("study", metavar="STUDY", type=click.Path(path_type=Path), shell_complete=study_folders)
@click.option("--tasks", "task", metavar="FILE|NAME", required=True, help="A task's YAML file, or the name of one.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first so many questions.", show_default="all")
@click.option("--metric", metavar="NAME", help="The task's metric that tells right from wrong.")
@click.option("--filter", "filtered", metavar="NAME", help="The task's filter that answers go through.")
@click.option("--chat-template", is_flag=True, help="Ask in the model's chat template, also where the study did not.")
@click.pass_context
def quality(
    context: click.Context,
    /,
    study: Path,
    *,
    task: str,
    limit: int | None,
    metric: str | None,
    filtered: str | None,
    chat_template: bool,
    settings: Sequence[str],
    dry_run: bool,
    **passed: Any,
) -> int:
    """Ask each configuration of a finished study the questions of a task.

    The task is one of lm-evaluation-harness, of the kind generate_until. Model, engine, precision, decoding and runner are those of
    the study; answers end where the model ends them. The questions are a study of their own, in the folder quality/ of the study,
    with energy and speed like any other. quality.json in the study's folder joins its configurations with their accuracy:
    `llem pick`, `llem pareto` and `llem analyze` take it from there.

    \b
    Examples:
      llem quality results/demo-20260101T120000Z --tasks sums.yaml --dry-run
      llem quality results/demo-20260101T120000Z --tasks sums.yaml
      llem pick results/demo-20260101T120000Z --min energy --min-accuracy 99%

    \b
    Exit codes are those of `llem run`.
    """
    from llem.plugin_api import is_study
    from llem_quality.dataset import how_many
    from llem_quality.joining import join
    from llem_quality.study_document import name_of, quality_study, require_ended
    from llem_quality.task_file import is_file

    require_ended(study)
    path = str(Path(task).expanduser().absolute()) if is_file(task) else task
    dataset: dict[str, Any] = {"name": "lm_eval", "path": path, "n": how_many(path, limit)}
    if chat_template:
        dataset["chat_template"] = True
    scoring = {key: value for key, value in (("metric", metric), ("filter", filtered)) if value is not None}
    asked = quality_study(study, registry_of(context), dataset, scoring, settings)
    folder = study / FOLDER
    before = set(folder.iterdir()) if folder.is_dir() else set()
    with _written(asked, folder, f"The quality of {name_of(study).removesuffix('-quality')}", dry_run=dry_run) as file:
        output = None if dry_run else folder
        code = run_as_llem_run(context, study=file, output=output, settings=settings, dry_run=dry_run, **passed)
    made = [one for one in folder.iterdir() if one not in before and is_study(one)] if folder.is_dir() else []
    if dry_run or not made:
        return code
    # Another llem may have asked the same study at the same time: what holds these configurations is what this one made.
    joined = next((one for folder in made if (one := join(study, folder, asked.identities)).known), None)
    if joined is None:
        click.echo(f"No configuration was asked everything: {study / 'quality.json'} is as it was.", err=True)
        return code
    click.echo(
        f"Wrote {study / 'quality.json'}: accuracy of {joined.known} of {joined.known + joined.lacking} configurations. "
        f"Next: llem pick {study} --min energy --min-accuracy 99%"
    )
    return code


@contextmanager
def _written(asked: QualityStudy, folder: Path, comment: str, *, dry_run: bool) -> Iterator[Path]:
    """The study as a file; a plan alone leaves none behind."""
    if dry_run:
        with tempfile.TemporaryDirectory() as scratch:
            file = Path(scratch) / "quality.yaml"
            file.write_text(asked.text(comment), "utf-8")
            yield file
        return
    folder.mkdir(exist_ok=True)
    file = folder / "quality.yaml"
    file.write_text(asked.text(comment), "utf-8")
    yield file
