"""Makes `results.parquet` of what is on disk: a row for each experiment and cycle. It can be made anew at any time."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llem.errors import ResultError
from llem.results.columns import Column, Kind, fixed_columns, total_columns, unit_of
from llem.results.models import SCHEMA_VERSION
from llem.results.rows import study_rows
from llem.results.store import is_study

if TYPE_CHECKING:
    import pyarrow as pa

PARQUET = "results.parquet"

_INT64 = range(-(2**63), 2**63)


def aggregate(study_dir: Path | str) -> Path:
    """Write a study's `results.parquet` from its job directories, atomically, and return its path.

    Raises:
        ResultError: the folder is no study's, or cannot be written.
    """
    import pyarrow.parquet as pq

    folder = Path(study_dir)
    table = study_table(folder)
    path = folder / PARQUET
    temporary = folder / f".{PARQUET}.{os.getpid()}.tmp"
    try:
        pq.write_table(table, temporary, compression="zstd")
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ResultError(f"the results cannot be written: {error}.", where=str(path)) from error
    return path


def study_table(study_dir: Path | str) -> pa.Table:
    """A study's results as an Arrow table, read from its job directories. Raises ResultError where there is no study."""
    folder = Path(study_dir)
    if not is_study(folder):
        raise ResultError(
            "this is no study's folder: it has neither manifest.json nor experiments/.",
            where=str(folder),
            remedy="Give the folder that `llem run` named, such as results/NAME-TIMESTAMP.",
        )
    return rows_table(study_rows(folder))


def rows_table(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows as an Arrow table. Every column is nullable; what a row lacks is null.

    A swept or configured value whose type differs between experiments in a way that no number type covers becomes JSON
    text (`encoding: json` in the field's metadata), so that `8` and `"8"` stay apart.
    """
    import pyarrow as pa

    values: dict[str, list[Any]] = {column.name: [] for column in fixed_columns()}
    count = 0
    for row in rows:
        for name, value in row.items():
            column = values.setdefault(name, [])
            column.extend([None] * (count - len(column)))
            column.append(value)
        count += 1
    known = {column.name: column for column in fixed_columns()}
    for scope in ("gpu", "cpu", "dram", "host"):
        for method in ("counter", "power", "estimate"):
            known.update({column.name: column for column in total_columns(scope, method)})
    fields, arrays = [], []
    for name in _ordered(values):
        cells = values[name]
        cells.extend([None] * (count - len(cells)))
        column_ = known.get(name) or Column(name, _kind_of(cells), unit_of(name))
        if column_.kind == "json":
            cells = [None if v is None else json.dumps(v, ensure_ascii=False, sort_keys=True) for v in cells]
        elif column_.kind == "double":
            cells = [None if v is None else float(v) for v in cells]
        metadata = {"unit": column_.unit} if column_.unit else {}
        if column_.kind == "json":
            metadata["encoding"] = "json"
        kind = _arrow_type(column_.kind, all(v is None for v in cells) and name not in known)
        fields.append(pa.field(name, kind, nullable=True, metadata=metadata or None))
        arrays.append(pa.array(cells, type=kind))
    schema = pa.schema(fields, metadata={"llem.schema_version": str(SCHEMA_VERSION)})
    return pa.Table.from_arrays(arrays, schema=schema)


def _ordered(values: Mapping[str, Any]) -> list[str]:
    """Identity first, then what was swept, the figures, and the configuration last; new names by the alphabet."""
    fixed = [column.name for column in fixed_columns()]
    start = fixed.index("position") + 1
    extra = sorted(set(values) - set(fixed))
    point = [name for name in extra if name.startswith("point.")]
    config = [name for name in extra if name.startswith("config.")]
    rest = [name for name in extra if not name.startswith(("point.", "config."))]
    return [*fixed[:start], *point, *fixed[start:], *rest, *config]


def _kind_of(cells: Iterable[Any]) -> Kind:
    """The narrowest type that holds all these values unchanged in meaning; JSON text where there is none."""
    found = {type(v) for v in cells if v is not None}
    if found == {bool}:
        return "bool"
    if found == {int}:
        return "int64" if all(v is None or v in _INT64 for v in cells) else "json"
    if found == {float}:
        return "double"
    if found == {int, float}:
        whole = all(not isinstance(v, int) or abs(v) <= 2**53 for v in cells)
        return "double" if whole else "json"
    return "string" if found <= {str} else "json"


def _arrow_type(kind: Kind, empty: bool) -> pa.DataType:
    import pyarrow as pa

    if empty:
        return pa.null()
    types: dict[Kind, pa.DataType] = {
        "string": pa.string(),
        "json": pa.string(),
        "int64": pa.int64(),
        "double": pa.float64(),
        "bool": pa.bool_(),
        "strings": pa.list_(pa.string()),
    }
    return types[kind]
