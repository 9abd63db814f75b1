"""`llem import`: results of another tool, as a study that every command reads."""

from __future__ import annotations

import json
from pathlib import Path

import click

from llem.plugin_api import IMPORTERS, ImporterSpec, Registered


@click.command("import")
@click.argument("path", metavar="PATH", type=click.Path(path_type=Path))
@click.option(
    "--from",
    "form",
    metavar="NAME",
    type=Registered(IMPORTERS),
    required=True,
    help="csv: any table, by --mapping; vllm-bench: results of vllm bench serve; aiperf: profile_export_aiperf.json; guidellm: benchmarks.json; optimum-benchmark: benchmark_report.json; aienergyscore: its reports and master_results.csv; inferencex: agg_*.json; ml-energy: runs/llm.parquet of the ML.ENERGY benchmark; or another that "
    "`llem plugins` lists.",
)
@click.option(
    "--mapping",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="For csv: YAML that says which column is which metric, in which unit. Left out where columns have llem's names.",
)
@click.option("--name", default="imported", show_default=True, help="Name of the study.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path("results"),
    show_default=True,
    help="The folder in which the study's own is made.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document that says what was read.")
def import_command(
    path: Path, form: ImporterSpec, mapping: Path | None, name: str, output: Path, as_json: bool
) -> None:
    """Read another tool's results into a study's folder, which show, analyze, compare, pareto, report and export take.

    What that tool's file does not tell is null. Every result has the warning `imported`, and says in its environment which file
    it came from, and by which name each value stood there: its figures are by that tool's definitions. Units are converted;
    what follows from other values (mean power from energy and duration) is worked out; the warning names both.

    A mapping names columns:

    \b
      model: {column: Model}           # or a text that holds for all rows
      gpu: H100
      energy: {scope: gpu, method: power}
      metrics:
        j_per_output_token: {column: "Wh/1k tok", unit: Wh/1000 tokens}
        tokens_per_s: tok/s
      parameters: {batch_size: Batch}

    \b
    Examples:
      llem import table.csv --from csv --mapping table.yaml
      llem import runs.csv --from csv          # what llem export wrote
      llem import runs/ --from vllm-bench
      llem import artifacts/ --from aiperf
      llem import benchmarks.json --from guidellm
      llem import ml-energy/ --from ml-energy --name leaderboard
      llem import runs/llm.parquet --from ml-energy --output results
    """
    from llem_exporters.imported import write_study

    folder, count = write_study(path, form, name, output, mapping)
    if as_json:
        click.echo(json.dumps({"study": str(folder), "count": count, "from": form.name}, ensure_ascii=False, indent=1))
    else:
        click.echo(f"Read {count:,} run{'s' * (count != 1)} into {folder}. Next: llem show {folder}")
