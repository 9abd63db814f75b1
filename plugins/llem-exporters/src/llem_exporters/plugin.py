"""The registration of llem-exporters. Importing this imports neither click nor pyarrow."""

from __future__ import annotations

from collections.abc import Sequence

from llem.plugin_api import API_VERSION, CommandSpec, ExporterSpec, ImporterSpec, Output, hookimpl

FORMS: tuple[tuple[str, str, str, Output], ...] = (
    ("csv", "csv", "every run as a line of text, units in the columns' names", "text"),
    ("parquet", "parquet", "every run, units in each field's metadata", "file"),
    ("latex", "latex", "a table of configurations, means over cycles", "text"),
    ("aienergyscore", "aienergyscore", "each configuration as AIEnergyScore's files", "folder"),
    ("ml-energy", "ml_energy", "every run as ML.ENERGY's reader takes it", "folder"),
    ("mlflow", "mlflow", "every run in an MLflow store", "service"),
)
"""Name, function, what it writes, and what `--output` names."""

READ: tuple[tuple[str, str, str], ...] = (
    ("csv", "importers.table:read_csv", "any table, by a mapping of its columns"),
    ("vllm-bench", "importers.vllm_bench:read_vllm_bench", "results of vllm bench serve (vLLM 0.32)"),
    ("aiperf", "importers.aiperf:read_aiperf", "profile_export_aiperf.json of AIPerf (0.13)"),
    ("guidellm", "importers.guidellm:read_guidellm", "benchmarks.json of guidellm (0.8)"),
    (
        "optimum-benchmark",
        "importers.optimum_benchmark:read_optimum_benchmark",
        "benchmark_report.json of optimum-benchmark (0.7), with its configuration",
    ),
    (
        "aienergyscore",
        "importers.aienergyscore:read_aienergyscore",
        "reports, summaries and master_results.csv of AIEnergyScore (0.1)",
    ),
    ("inferencex", "importers.inferencex:read_inferencex", "agg_*.json of InferenceX, formerly InferenceMAX"),
    (
        "ml-energy",
        "ml_energy.reading:read_ml_energy",
        "runs of the ML.ENERGY benchmark, as mlenergy-data keeps them",
    ),
)
"""Name, function, and what it reads."""


@hookimpl
def llem_commands() -> Sequence[CommandSpec]:
    """The commands `export` and `import`."""
    return [
        CommandSpec(
            name="export",
            api_version=API_VERSION,
            summary="results as CSV, Parquet, LaTeX, or for other tools",
            command="llem_exporters.command:export",
        ),
        CommandSpec(
            name="import",
            api_version=API_VERSION,
            summary="results of another tool, as a study",
            command="llem_exporters.importing:import_command",
        ),
    ]


@hookimpl
def llem_exporters() -> Sequence[ExporterSpec]:
    """Tables, and the files of other tools."""
    return [
        ExporterSpec(
            name=name,
            api_version=API_VERSION,
            summary=summary,
            write=f"llem_exporters.forms:{function}",
            output=output,
        )
        for name, function, summary, output in FORMS
    ]


@hookimpl
def llem_importers() -> Sequence[ImporterSpec]:
    """Any table, and the forms of other tools."""
    return [
        ImporterSpec(
            name=name, api_version=API_VERSION, summary=summary, read=f"llem_exporters.{read}", mapping=name == "csv"
        )
        for name, read, summary in READ
    ]
