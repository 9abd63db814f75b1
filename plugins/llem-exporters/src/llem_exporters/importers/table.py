"""Any table as runs, by a mapping; and CSV files as tables."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any, get_args

from llem.plugin_api import ConfigError, ExperimentResult, Method, ResultError, Scope, parse_json
from llem_exporters.importers.columns import UNITS
from llem_exporters.importers.mapping import Cell, Reader, TableMapping, is_parameter, mapping_of, read_mapping
from llem_exporters.importers.reading import read_text
from llem_exporters.importers.runs import MOST_GPUS, UNKNOWN, Run, results_of
from llem_exporters.importers.working_out import CONVERTED, Told

TOOL = "csv"
_GPUS = "environment.gpu.models"
Row = Mapping[str, Any]
Numbered = tuple[str, Row]
"""A row, and what messages call it."""


def read_csv(path: Path, mapping: Path | None = None) -> Iterator[ExperimentResult]:
    """A result for each row of a CSV file, in its order.

    Args:
        path: the file.
        mapping: its mapping; None where the columns have llem's own names, as `llem export --format csv` writes them.

    Raises:
        ConfigError: the mapping is not one, or not of this table.
        ResultError: the file is no table, or a cell holds no number where one belongs.
    """
    told = None if mapping is None else read_mapping(mapping)
    columns, rows = _table(path, told.separator if told else ("\t" if path.suffix == ".tsv" else ","))
    if told is None:
        told = _own_mapping(columns, str(path))
    return results_of(TOOL, runs_of(told, columns, rows, str(mapping or path), str(path)), str(path))


def runs_of(
    mapping: TableMapping, columns: Sequence[str], rows: Sequence[Numbered], where: str, table: str
) -> list[Run]:
    """A run for each row.

    Args:
        where: the mapping's place, for messages.
        table: the table's place, likewise.
    """
    reader = Reader(mapping, list(columns), where)
    return [_run(reader, row, f"{table}: {name}") for name, row in rows]


def _table(path: Path, separator: str) -> tuple[list[str], list[Numbered]]:
    reader = csv.reader(StringIO(read_text(path, "table"), newline=""), delimiter=separator, strict=True)
    rows: list[Numbered] = []
    try:
        columns = [name.strip() for name in next(reader, [])]
        if not columns:
            raise ResultError("this table is empty: its first line names the columns.", where=str(path))
        if twice := [name for name in columns if columns.count(name) > 1]:
            raise ResultError(f"two of its columns are called `{twice[0]}`.", where=str(path))
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(columns):
                raise ResultError(
                    f"line {reader.line_num} has {len(cells)} cells, and the first line names {len(columns)} columns.",
                    where=str(path),
                    remedy="Name the right `separator` in the mapping, or mend the line.",
                )
            rows.append((f"line {reader.line_num}", dict(zip(columns, cells, strict=True))))
    except csv.Error as error:
        raise ResultError(f"it is no CSV: line {reader.line_num}: {error}.", where=str(path)) from error
    return columns, rows


def _own_mapping(columns: Sequence[str], where: str) -> TableMapping:
    """The mapping of a table whose columns have llem's own names."""
    metrics = {column: column for column in columns if column in UNITS}
    if not metrics:
        raise ConfigError(
            "none of its columns has the name of one of llem's.",
            where=where,
            remedy="Say which column is which metric: --mapping FILE.yaml, as in the page on importing.",
        )
    names = {"model": "config.model.source", "engine": "config.backend", "dataset": "config.dataset.name"}
    taken = set(names.values())
    data: dict[str, Any] = {
        "metrics": metrics,
        "parameters": {
            column.removeprefix("config."): column
            for column in columns
            if column.startswith("config.") and column not in taken and is_parameter(column)
        },
        **{key: {"column": column} for key, column in names.items() if column in columns},
        **({"gpu": {"column": _GPUS}} if _GPUS in columns else {}),
    }
    if any(name.startswith("energy.") for name in metrics):
        if not {"energy.headline.scope", "energy.headline.method"} <= set(columns):
            raise ConfigError(
                "it has energy, and no columns energy.headline.scope and energy.headline.method.",
                where=where,
                remedy="Say how the energy was told in a mapping: --mapping FILE.yaml.",
            )
        data["energy"] = {
            "scope": {"column": "energy.headline.scope"},
            "method": {"column": "energy.headline.method"},
        }
    return mapping_of(data, where)


def _run(reader: Reader, row: Row, where: str) -> Run:
    mapping = reader.mapping
    told: dict[str, Told] = {}
    for column, (source, unit, convert) in reader.metrics.items():
        number = _number(row[source], source, mapping, where)
        value = None if number is None else convert(number)
        if value is not None and math.isfinite(value):
            told[column] = Told(value, f"{source}{CONVERTED}{unit}" if unit else source)
    scope: Scope = "gpu"
    method: Method = "power"
    if mapping.energy is not None:
        scope = _word(mapping.energy.scope, get_args(Scope), "gpu", row, mapping, f"{where}: energy.scope")
        method = _word(mapping.energy.method, get_args(Method), "power", row, mapping, f"{where}: energy.method")

    def text(cell: Cell | None) -> str | None:
        return None if cell is None else _text(cell, row, mapping)

    gpus = _gpus(text(mapping.gpu), lambda: _count(mapping.gpus, row, mapping, where))
    engine = text(mapping.engine) or UNKNOWN
    parameters = {name: _any(cell, row, mapping) for name, cell in mapping.parameters.items()}
    notes = [f"the numbers come from {mapping.source}"] if mapping.source else []
    return Run(
        values=told,
        model=text(mapping.model) or UNKNOWN,
        engine=engine,
        dataset=text(mapping.dataset) or UNKNOWN,
        dtype=text(mapping.dtype),
        parameters={name: value for name, value in parameters.items() if value is not None},
        scope=scope,
        method=method,
        gpus=gpus,
        cpu=text(mapping.cpu),
        notes=notes,
    )


def _gpus(told: str | None, count: Callable[[], int]) -> list[str]:
    """The model of each GPU: one model as often as there are GPUs, or the list that llem's own tables hold."""
    if told is None:
        return []
    if told.startswith("["):
        try:
            found = parse_json(told)
        except ValueError:
            found = None
        if isinstance(found, list) and all(isinstance(one, str) for one in found):
            return found[:MOST_GPUS]
    return [told] * count()


def _cell(cell: Cell, row: Row, mapping: TableMapping) -> Any:
    value = cell.value if cell.column is None else row[cell.column]
    if isinstance(value, str):
        value = value.strip()
        return None if value in mapping.empty else value
    return None if isinstance(value, float) and math.isnan(value) else value


def _text(cell: Cell, row: Row, mapping: TableMapping) -> str | None:
    value = _cell(cell, row, mapping)
    return None if value is None else str(value)[:500]


def _any(cell: Cell, row: Row, mapping: TableMapping) -> Any:
    """A parameter's value: a number or a truth where the text is one."""
    value = _cell(cell, row, mapping)
    if not isinstance(value, str):
        return value if value is None or isinstance(value, bool | int | float) else str(value)[:500]
    if value.lower() in ("true", "false"):
        return value.lower() == "true"
    for kind in (int, float):
        try:
            found = kind(value)
        except ValueError:
            continue
        return found if math.isfinite(found) else value
    return value


def _word(cell: Cell, known: Sequence[str], default: str, row: Row, mapping: TableMapping, where: str) -> Any:
    word = _text(cell, row, mapping)
    if word is not None and word not in known:
        raise ResultError(f"`{word[:60]}` is none of {', '.join(known)}.", where=where)
    return word or default


def _number(value: Any, column: str, mapping: TableMapping, where: str) -> float | None:
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        found = float(value)
        return found if math.isfinite(found) else None
    plain = str(value).strip()
    if plain in mapping.empty:
        return None
    if mapping.thousands:
        plain = plain.replace(mapping.thousands, "")
    if mapping.decimal == ",":
        plain = plain.replace(".", "?").replace(",", ".")
    try:
        found = float(plain)
    except ValueError as error:
        raise ResultError(
            f"the column `{column}` holds no number: {str(value)[:60]!r}.",
            where=where,
            remedy="Name the characters by `decimal` and `thousands`, or what stands for no value by `empty`.",
        ) from error
    return found if math.isfinite(found) else None


def _count(cell: Cell | None, row: Row, mapping: TableMapping, where: str) -> int:
    if cell is None:
        return 1
    value = _any(cell, row, mapping)
    if value is None:
        return 1
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or value != int(value)
        or not 0 < value <= MOST_GPUS
    ):
        raise ResultError(f"`gpus` is no number of GPUs: {str(value)[:60]!r}.", where=where)
    return int(value)
