"""`llem export`: a study's results in the forms that others read."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llem.plugin_api import EXPORTERS, Exported, ExporterSpec, Registered, study_folders
from llem_analysis.commands.footprint_options import factors_of, footprint_options

if TYPE_CHECKING:
    from llem_exporters.source import Source


@click.command()
@click.argument("study", metavar="STUDY", type=click.Path(path_type=Path), shell_complete=study_folders)
@click.option(
    "--format",
    "form",
    metavar="NAME",
    type=Registered(EXPORTERS),
    required=True,
    help="csv and parquet: every run; latex: a table of configurations; aienergyscore, ml-energy, mlflow: as those tools read "
    "them; or another that `llem plugins` lists.",
)
@click.option(
    "--output",
    "-o",
    metavar="PATH",
    help="File (csv, parquet, latex), folder (aienergyscore, ml-energy) or tracking URI (mlflow). Text goes to standard output where left out.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document that says what was written.")
@footprint_options
def export(
    study: Path,
    form: ExporterSpec,
    output: str | None,
    as_json: bool,
    carbon_intensity: str | None,
    price: float | None,
    currency: str,
    pue: float | None,
) -> None:
    """Export a study's results.

    A figure that was not measured is an empty cell, a null or a dash, never 0; an estimate says so. Carbon and cost are
    added only where their factors are given.

    \b
    Examples:
      llem export results/demo-20260101T120000Z --format csv > runs.csv
      llem export results/demo-20260101T120000Z --format latex --output table.tex
      llem export results/demo-20260101T120000Z --format parquet -o runs.parquet --carbon-intensity 56 --pue 1.2
      llem export results/demo-20260101T120000Z --format aienergyscore --output aienergyscore
      llem export results/demo-20260101T120000Z --format ml-energy --output ml-energy
      llem export results/demo-20260101T120000Z --format mlflow --output sqlite:///mlflow.db
    """
    import json

    from llem.plugin_api import ConfigError
    from llem_exporters.source import Source

    if as_json and output is None and form.output != "service":
        raise ConfigError("--json says what was written, so it takes --output.", remedy="Give --output PATH.")
    written = _write(Source(study, factors_of(carbon_intensity, price, currency, pue)), form, output)
    where = written.address or output
    if as_json:
        left_out = {"left_out": list(written.left_out)} if written.left_out else {}
        said = {"format": form.name, "output": where, "count": written.count, "what": written.what, **left_out}
        click.echo(json.dumps(said, ensure_ascii=False, indent=1))
    elif where is not None:
        for reason in written.left_out:
            click.echo(f"left out: {reason}", err=True)
        click.echo(f"Wrote {written.count} {written.what} to {where}.")


def _write(source: Source, form: ExporterSpec, output: str | None) -> Exported:
    from llem.plugin_api import ConfigError, load_object

    write: Callable[[Source, Any], Exported] = load_object(form.write)
    if form.output == "service":
        return write(source, output)
    if form.output == "text":
        if output is None:
            return write(source, sys.stdout)
        return _saving(output, lambda path: _as_text(source, path, write))
    if output is None:
        what = "a file" if form.output == "file" else "a folder of files"
        raise ConfigError(f"{form.name} is {what}, and no text.", remedy="Name where: --output PATH.")
    return _saving(output, lambda path: write(source, path))


def _as_text(source: Source, path: Path, write: Callable[[Source, Any], Exported]) -> Exported:
    with path.open("w", encoding="utf-8", newline="") as stream:
        return write(source, stream)


def _saving(output: str, write: Callable[[Path], Exported]) -> Exported:
    from llem.plugin_api import ConfigError

    try:
        return write(Path(output))
    except OSError as error:
        raise ConfigError(
            f"cannot be written: {error.strerror or error}.", where=output, remedy="Name another place."
        ) from error
