"""`llem.import_table`: a table that is in memory, as a study."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from llem.plugin_api import ConfigError, ResultError, StudyResult
from llem_exporters.imported import write_results
from llem_exporters.importers.mapping import mapping_of
from llem_exporters.importers.runs import results_of
from llem_exporters.importers.table import runs_of

FORM = "table"


def import_table(
    frame: Any,
    *,
    metrics: Mapping[str, Any],
    parameters: Mapping[str, Any] | Sequence[str] = (),
    name: str = "imported",
    output: Path | str = "results",
    **told: Any,
) -> StudyResult:
    """Make a study of a table, a run from each row, that every command reads.

    Args:
        frame: a table of pandas, polars or pyarrow; columns by name; or rows as mappings.
        metrics: metric to its column, or to `{"column": NAME, "unit": UNIT}`.
        parameters: parameter to its column; or columns whose names are the parameters'.
        name: of the study.
        output: the folder in which the study's own is made.
        told: any other key of a mapping file: `source`, `model`, `engine`, `dataset`, `dtype`, `gpu`, `gpus`, `cpu`, `energy`. A
            text holds for all rows, `{"column": NAME}` names a column.

    Returns:
        The study. Every result has the warning `imported`, and names the column of each of its values.

    Raises:
        ConfigError: a metric, a unit or a column is not known, or this is no table.
        ResultError: a cell holds no number where one belongs, or there is no row.

    Examples:
        >>> import llem
        >>> rows = [{"batch": 8, "Wh": 0.5, "tokens": 1200}, {"batch": 16, "Wh": 0.6, "tokens": 2400}]
        >>> study = llem.import_table(
        ...     rows,
        ...     metrics={"energy_j": {"column": "Wh", "unit": "Wh"}, "output_tokens": "tokens"},
        ...     parameters={"batch_size": "batch"},
        ...     energy={"scope": "gpu", "method": "counter"},
        ... )  # doctest: +SKIP
    """
    if not isinstance(parameters, Mapping):
        parameters = {one: one for one in parameters}
    mapping = mapping_of({"metrics": metrics, "parameters": parameters, **told}, "import_table")
    rows = [{str(key): _plain(value) for key, value in row.items()} for row in _rows(frame)]
    if not rows:
        raise ResultError("this table holds no row.", where="import_table")
    columns = list(dict.fromkeys(column for row in rows for column in row))
    numbered = [(f"row {number}", {**dict.fromkeys(columns), **row}) for number, row in enumerate(rows, 1)]
    runs = runs_of(mapping, columns, numbered, "import_table", "the table")
    folder, _ = write_results(
        results_of(FORM, runs, "the table"), form=FORM, source="a table in memory", name=name, output=Path(output)
    )
    return StudyResult(folder)


def _rows(frame: Any) -> list[Mapping[str, Any]]:
    """The rows of a table of any library; each is asked in its own words."""
    if hasattr(frame, "to_pylist"):  # pyarrow
        found = frame.to_pylist()
    elif hasattr(frame, "to_dicts"):  # polars
        found = frame.to_dicts()
    elif hasattr(frame, "to_dict"):  # pandas
        found = frame.to_dict("records")
    elif isinstance(frame, Mapping):
        lengths = {len(column) for column in frame.values()}
        if len(lengths) > 1:
            raise ConfigError("its columns are not of one length.", where="import_table")
        found = [dict(zip(frame, cells, strict=True)) for cells in zip(*frame.values(), strict=True)]
    else:
        found = list(frame) if isinstance(frame, Iterable) else None
    if not isinstance(found, list) or not all(isinstance(row, Mapping) for row in found):
        raise ConfigError(
            "this is no table.",
            where="import_table",
            remedy="Give a table of pandas, polars or pyarrow, columns by name, or rows as mappings.",
        )
    return found


def _plain(value: Any) -> Any:
    """A scalar of numpy's as Python's own; what says that it is not equal to itself is no value."""
    if hasattr(value, "item") and not isinstance(value, str | bytes):
        value = value.item()
    return None if value is not None and type(value).__name__ in ("NaTType", "NAType") else value
