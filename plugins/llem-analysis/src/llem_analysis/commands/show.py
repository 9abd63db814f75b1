"""`llem show`: the figures of a study or of one experiment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from llem.plugin_api import (
    EXPERIMENT,
    EXPERIMENTS,
    MANIFEST,
    RESULT,
    ResultError,
    aggregate,
    is_study,
    nothing_here,
    read_result,
    several_here,
    study_folders,
)
from llem_analysis.choosing import Chosen, ordered
from llem_analysis.registered_metrics import computed_columns
from llem_analysis.result_table import WithComputed
from llem_analysis.result_text import result_text
from llem_analysis.shown_metrics import shown_metrics
from llem_analysis.study_summary import SHOWN, study_summary

if TYPE_CHECKING:
    from llem.plugin_api import Registry
    from llem_analysis.result_table import ResultTable

MANY_ANEW = 2_000
"""Reading more results than this one by one takes seconds, which is worth a word."""


@click.command()
@click.argument("path", metavar="RESULT_OR_STUDY", type=click.Path(path_type=Path), shell_complete=study_folders)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option(
    "--where",
    metavar="KEY=VALUE",
    multiple=True,
    help="Only experiments for which this holds; also with != < <= > >=. KEY is a column of results.parquet, or one that a plugin "
    "computes, or how its name ends, VALUE may be null. May be given several times: then all must hold.",
)
@click.option(
    "--sort",
    metavar="COLUMN",
    help="Order by the mean of a column, the smallest first; -COLUMN for the largest first.",
)
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(0),
    help=f"List so many configurations at the most; 0 for all. Default: {SHOWN}, and all with --json.",
)
@click.option(
    "--rebuild", is_flag=True, help="First write the study's results.parquet anew from its experiments' folders."
)
@click.pass_obj
def show(
    registry: Registry,
    path: Path,
    as_json: bool,
    where: tuple[str, ...],
    sort: str | None,
    limit: int | None,
    rebuild: bool,
) -> None:
    """Show a study or a result as a table.

    Takes a study's folder, one experiment's folder, a result.json or a results.parquet. Cycles of one configuration are
    brought together as mean ± standard deviation, as far as they ran in environments that are alike. – is a figure that was not
    measured; ~ marks an estimate.

    \b
    Examples:
      llem show results/demo-20260101T120000Z
      llem show results/demo-20260101T120000Z/experiments/NAME
      llem show results/demo-20260101T120000Z --where batch_size>=8 --sort j_per_output_token --limit 10
      llem show results/demo-20260101T120000Z --where status=failed
      llem show results/demo-20260101T120000Z --json | jq .experiments
    """
    if not path.exists():
        raise nothing_here(path, "a study's folder or a result.json")
    if rebuild:
        aggregate(path, rebuild=True)
    if path.name == RESULT or (path.is_dir() and (path / RESULT).is_file()):
        result = read_result(path).model_dump(mode="json")
        click.echo(json.dumps(result, ensure_ascii=False, indent=1) if as_json else result_text(result))
        return
    table: ResultTable
    if path.is_dir() and is_study(path):
        folder, table = path, _study(path)
    elif path.suffix == ".parquet":
        from llem_analysis.result_table import ParquetTable

        folder, table = path.parent, ParquetTable(path)
    elif (path / EXPERIMENT).is_file():
        raise ResultError(
            "this experiment has no result yet: it is still running, or its study was ended.", where=str(path)
        )
    elif (several := several_here(path, "llem show ")) is not None:
        raise several
    else:
        raise ResultError(
            f"this is neither a study's folder ({MANIFEST}, {EXPERIMENTS}/) nor an experiment's ({RESULT}), "
            f"nor a {RESULT} or results.parquet.",
            where=str(path),
            remedy="Give what `llem run` named at its end, such as results/NAME-TIMESTAMP.",
        )
    if limit is None:
        limit = None if as_json else SHOWN
    chosen = Chosen(WithComputed(table, computed_columns(registry)), where)
    found = study_summary(
        folder,
        chosen,
        where=where,
        sort=sort,
        first=ordered(chosen, sort) if sort else (),
        limit=limit or None,
        metrics=shown_metrics(registry),
    )
    click.echo(json.dumps(found.document(), ensure_ascii=False, indent=1) if as_json else found.text())


def _study(folder: Path) -> ResultTable:
    """The results of a study; says where they could not be taken from its table."""
    from llem.plugin_api import StudyTable

    table = StudyTable(folder)
    for problem in table.unreadable:
        click.echo(f"warning: {problem} The job directories were read instead.", err=True)
    if len(table.missing) > MANY_ANEW:
        click.echo(
            f"{len(table.missing):,} results are not in results.parquet, or changed since, and are read one by one; "
            f"llem show {folder} --rebuild writes it anew.",
            err=True,
        )
    return table
