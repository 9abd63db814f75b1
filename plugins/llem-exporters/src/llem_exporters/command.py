"""`llem export`: a study's results in the forms that others read."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llem.plugin_api import study_folders
from llem_analysis.commands.footprint_options import factors_of, footprint_options

if TYPE_CHECKING:
    from llem_exporters.source import Source

FORMATS = ("csv", "parquet", "latex", "aienergyscore", "ml-energy", "mlflow")


@click.command()
@click.argument("study", metavar="STUDY", type=click.Path(path_type=Path), shell_complete=study_folders)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    required=True,
    help="csv and parquet: every run; latex: a table of configurations; the others as those tools read them.",
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
    form: str,
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

    if as_json and output is None and form != "mlflow":
        raise ConfigError("--json says what was written, so it takes --output.", remedy="Give --output PATH.")
    source = Source(study, factors_of(carbon_intensity, price, currency, pue))
    written = _write(source, form, output)
    if as_json:
        click.echo(json.dumps({"format": form, **written}, ensure_ascii=False, indent=1))
    elif output is not None or form == "mlflow":
        for reason in written.get("left_out", ()):
            click.echo(f"left out: {reason}", err=True)
        click.echo(f"Wrote {written['count']} {written['what']} to {written['output']}.")


def _write(source: Source, form: str, output: str | None) -> dict[str, Any]:
    if form == "mlflow":
        from llem_exporters.mlflow_runs import log_mlflow

        store, count = log_mlflow(source, output)
        return {"output": store, "count": count, "what": "runs"}
    if form in ("parquet", "aienergyscore", "ml-energy"):
        return _write_files(source, form, output)
    from llem_exporters.latex import latex_table
    from llem_exporters.tables import write_csv

    if form == "csv" and output is None:
        write_csv(source, sys.stdout)
    elif form == "csv":
        _saving(output or "", lambda path: _csv(source, path, write_csv))
    elif output is None:
        click.echo(latex_table(source), nl=False)
    else:
        content = latex_table(source)
        _saving(output, lambda path: path.write_text(content, encoding="utf-8"))
    return {"output": output, "count": len(source.rows), "what": "runs"}


def _csv(source: Source, path: Path, write: Callable[..., None]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        write(source, stream)


def _write_files(source: Source, form: str, output: str | None) -> dict[str, Any]:
    from llem.plugin_api import ConfigError

    if output is None:
        what = "a file" if form == "parquet" else "a folder of files"
        raise ConfigError(f"{form} is {what}, and no text.", remedy="Name where: --output PATH.")
    if form == "parquet":
        from llem_exporters.tables import write_parquet

        _saving(output, lambda path: write_parquet(source, path))
        return {"output": output, "count": len(source.rows), "what": "runs"}
    if form == "ml-energy":
        from llem_exporters.ml_energy.folder import write_ml_energy

        count, left_out = _saving(output, lambda path: write_ml_energy(source, path))
        return {"output": output, "count": count, "what": "runs", "left_out": left_out}
    from llem_exporters.aienergyscore import write_aienergyscore

    count, left_out = _saving(output, lambda path: write_aienergyscore(source, path))
    return {"output": output, "count": count, "what": "configurations", "left_out": left_out}


def _saving(output: str, write: Callable[[Path], Any]) -> Any:
    from llem.plugin_api import ConfigError

    try:
        return write(Path(output))
    except OSError as error:
        raise ConfigError(
            f"cannot be written: {error.strerror or error}.", where=output, remedy="Name another place."
        ) from error
