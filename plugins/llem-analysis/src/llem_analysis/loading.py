"""A study's rows, whatever form it is given in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from llem.plugin_api import MANIFEST, MetricSpec, ResultError, StudyResult, nothing_here, read_object, several_here
from llem_analysis.computed import ComputedColumn
from llem_analysis.installed import registry
from llem_analysis.parquet_rows import parquet_rows
from llem_analysis.quality_file import Accuracies, accuracies_beside, join_accuracies
from llem_analysis.registered_metrics import computed_columns
from llem_analysis.result_table import read_parquet
from llem_analysis.row_environments import COLUMNS
from llem_analysis.weighed_rows import mark_whole
from llem_analysis.weighing import holds_impossible

if TYPE_CHECKING:
    import pyarrow as pa


_OF_RUNS = (
    "config_hash",
    "directory",
    "position",
    "cycle",
    "status",
    "scenario",
    "config.backend",
    "config.model.source",
    "config.dataset.name",
    "energy.headline.scope",
    "energy.headline.method",
    "energy.headline.unreliable",
    "warnings",
    *COLUMNS,
)
"""Columns that conclusions from any figure look at, besides what was swept."""


def load_rows(
    study: Path | str | StudyResult, specs: Iterable[MetricSpec] | None = None, more: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """The rows of a study's folder, of a `results.parquet`, or of a study that is open, with the metrics that plugins compute.

    Args:
        specs: of rows what conclusions from these figures take; None for everything.
        more: further columns.

    Raises:
        ResultError: it is anything else.
    """
    rows = rows_of(load_table(study), specs, more, accuracies_beside(study))
    give_back()
    return rows


def give_back() -> None:
    """Give the memory that Arrow keeps for its next table back to the system: as much as thousands of rows take."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()


def rows_of(
    table: pa.Table,
    specs: Iterable[MetricSpec] | None = None,
    more: Sequence[str] = (),
    accuracies: Accuracies = MappingProxyType({}),
) -> list[dict[str, Any]]:
    """The same of a table of results; `accuracies` are those that were measured beside it."""
    if specs is None:
        whole = parquet_rows(table)
        join_accuracies(whole, accuracies)
        return with_computed(whole)
    asked = list(specs)
    concluding = _concluding(table, [name for spec in asked for name in spec.of], more)
    rows = parquet_rows(concluding)
    mark_whole(rows, concluding.column_names)
    join_accuracies(rows, accuracies)
    return with_computed(rows, asked)


def computed(specs: Iterable[MetricSpec] | None = None) -> list[ComputedColumn]:
    """The metrics that plugins of this environment compute; of these specs only, where any are given."""
    names = None if specs is None else {spec.column for spec in specs}
    return [column for column in computed_columns(registry()) if names is None or column.name in names]


def with_computed(rows: list[dict[str, Any]], specs: Iterable[MetricSpec] | None = None) -> list[dict[str, Any]]:
    """The same rows, with a column for each metric that a plugin computes; of these specs only, where any are given."""
    for column in computed(specs):
        for row in rows:
            row[column.name] = column.value(row)
    return rows


def _concluding(table: pa.Table, figures: Sequence[str], more: Sequence[str]) -> pa.Table:
    """The columns of a table that conclusions from some of its columns take, and others."""
    names = table.column_names
    swept = [name.removeprefix("point.") for name in names if name.startswith("point.")]
    wanted = {*_OF_RUNS, *figures, *more, *(f"{name.rpartition('.')[0]}.n" for name in figures)}
    wanted |= {name for name in names if name.startswith("point.")}
    # A key that only some experiments sweep has its value in the configuration of the others.
    wanted |= {name for name in names for key in swept if f"{name}.".startswith(f"config.{key}.")}
    # The run of a figure that cannot be is told of, whichever figure is looked at.
    return table.select([name for name in names if name in wanted or holds_impossible(table, name)])


def load_table(study: Path | str | StudyResult) -> pa.Table:
    """The results of a study's folder, of a `results.parquet`, or of a study that is open. Raises ResultError for anything else."""
    if isinstance(study, StudyResult):
        return study.to_arrow()
    path = Path(study)
    if path.suffix == ".parquet":
        return read_parquet(path)
    if not path.exists():
        raise nothing_here(path)
    if (several := several_here(path)) is not None:
        raise several
    return StudyResult(path).to_arrow()


def require_job(job: Path) -> None:
    """Raise ResultError where a job directory is not there, as beside a `results.parquet` that was copied by itself."""
    if not job.is_dir():
        raise ResultError(
            "this takes a run's own folder, and it is not there: results.parquet has the metrics and no whole results.",
            where=str(job),
            remedy="Give the study's folder, with its job directories.",
        )


def study_name(study: Path | str | StudyResult) -> tuple[str, str]:
    """The name of a study, and its folder."""
    path = study.directory if isinstance(study, StudyResult) else Path(study)
    folder = path.parent if path.suffix == ".parquet" else path
    return folder.resolve().name, str(folder)


def study_order(study: Path | str | StudyResult) -> str:
    """The order that the study ran in, from its manifest; `sequential`, which pairs nothing, where there is none."""
    path = study.directory if isinstance(study, StudyResult) else Path(study)
    manifest = (path.parent if path.suffix == ".parquet" else path) / MANIFEST
    if not manifest.is_file():
        return "sequential"
    return str(read_object(manifest, "manifest").get("order", "sequential"))
