"""Rows as Arrow tables, and tables of different experiments as one. Pure: nothing here touches a file."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, get_args

from llem.results.arrow_array import array_of
from llem.results.columns import Column, Kind, fixed_columns, total_columns, unit_of
from llem.results.models import SCHEMA_VERSION, Method, Scope
from llem.results.writable import encodable

if TYPE_CHECKING:
    import pyarrow as pa


METADATA: dict[bytes | str, bytes | str] = {b"llem.schema_version": str(SCHEMA_VERSION).encode()}
"""Of the schema of every table."""


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
    totals = [total_columns(scope, method) for scope in get_args(Scope) for method in get_args(Method)]
    known = {column.name: column for column in itertools.chain(fixed_columns(), *totals)}
    fields, arrays = [], []
    for name in _ordered(values):
        cells = values[name]
        cells.extend([None] * (count - len(cells)))
        column_ = known.get(name) or Column(name, _kind_of(cells), unit_of(name))
        if not (empty := all(v is None for v in cells)):  # most columns of most studies are
            cells, column_ = _fitting(cells, column_)
            if column_.kind == "json":
                cells = [None if v is None else json_text(v) for v in cells]
            elif column_.kind == "double":
                cells = [None if v is None else float(v) for v in cells]
        fields.append(_field(column_, empty and name not in known))
        arrays.append(array_of(cells, fields[-1].type))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata=METADATA))


def _encodable(cell: Any) -> Any:
    if isinstance(cell, list):
        return [_encodable(one) for one in cell]
    return encodable(cell) if isinstance(cell, str) else cell


def _fits(number: int) -> bool:
    """True where 64 bits with a sign hold a number. A range is not asked: it would count up to an IntEnum."""
    return -(2**63) <= number < 2**63


def _fitting(cells: list[Any], column: Column) -> tuple[list[Any], Column]:
    """The values and the column that can hold them: texts that UTF-8 cannot are written out, numbers beyond a type become JSON."""
    if column.kind in ("string", "strings"):
        cells = [_encodable(v) for v in cells]
    beyond = {
        "int64": lambda v: not isinstance(v, int) or not _fits(v),
        "double": lambda v: not isinstance(v, int | float) or (isinstance(v, int) and abs(v) >= 2**1023),
        "string": lambda v: not isinstance(v, str),
        "bool": lambda v: not isinstance(v, bool),
    }.get(column.kind)
    if beyond is not None and any(v is not None and beyond(v) for v in cells):
        return cells, replace(column, kind="json")
    return cells, column


def joined(tables: Sequence[pa.Table]) -> pa.Table:
    """Tables of `rows_table` one below the other, with the columns of all of them; at least one."""
    import pyarrow as pa

    schema = merged_schema([table.schema for table in tables], lambda number, name: tables[number].column(name))
    return pa.concat_tables([conformed(table, schema) for table in tables])


def merged_schema(schemas: Sequence[pa.Schema], column: Callable[[int, str], pa.ChunkedArray[Any]]) -> pa.Schema:
    """The schema that holds every value of several tables; types that differ meet as `rows_table` would have them.

    Args:
        schemas: of the tables.
        column: gives the column of a name of the table of a number, where its values decide: whole numbers that are not the
            same as fractions become JSON text where another table has fractions.
    """
    import pyarrow as pa

    fields: dict[str, pa.Field[Any]] = {}
    for schema in schemas:
        for field in schema:
            known = fields.get(field.name)
            fields[field.name] = field if known is None else _merged(known, field)
    for number, schema in enumerate(schemas):
        for field in schema:
            mixed = field.type == pa.int64() and fields[field.name].type == pa.float64()
            if mixed and not _is_exact(column(number, field.name)):
                fields[field.name] = _as_json(fields[field.name])
    return pa.schema([fields[name] for name in _ordered(fields)], metadata=METADATA)


def conformed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """A table in a schema that `merged_schema` made of it and others; what it lacks is null."""
    import pyarrow as pa

    if table.schema.equals(schema, check_metadata=True):
        return table
    arrays, names = [], frozenset(table.column_names)
    for field in schema:
        if field.name not in names:
            arrays.append(pa.nulls(table.num_rows, field.type))
            continue
        column, own = table.column(field.name), table.schema.field(field.name)
        if is_json(field) and not is_json(own):
            texts = [None if v is None else json_text(v) for v in column.to_pylist()]
            arrays.append(array_of(texts, pa.string()))
        else:
            arrays.append(column.cast(field.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def is_json(field: pa.Field[Any]) -> bool:
    """Tell whether a column's values are JSON texts."""
    return (field.metadata or {}).get(b"encoding") == b"json"


def json_text(value: Any) -> str:
    """A value as it stands in such a column."""
    return encodable(json.dumps(value, ensure_ascii=False, sort_keys=True))


def _merged(first: pa.Field[Any], second: pa.Field[Any]) -> pa.Field[Any]:
    import pyarrow as pa

    if is_json(first) or is_json(second):
        return _as_json(first)
    if first.type == second.type or second.type == pa.null():
        return first
    if first.type == pa.null():
        return second
    if {first.type, second.type} == {pa.int64(), pa.float64()}:
        return first.with_type(pa.float64())
    return _as_json(first)


def _as_json(field: pa.Field[Any]) -> pa.Field[Any]:
    import pyarrow as pa

    metadata: dict[bytes | str, bytes | str] = dict((field.metadata or {}).items())
    metadata[b"encoding"] = b"json"
    return field.with_type(pa.string()).with_metadata(metadata)


def _is_exact(column: pa.ChunkedArray[Any]) -> bool:
    """Tell whether a column's numbers are the same as fractions."""
    import pyarrow as pa

    try:
        column.cast(pa.float64())
    except pa.ArrowInvalid:
        return False
    return True


def _ordered(values: Mapping[str, Any]) -> list[str]:
    """Identity first, then what was swept, the figures, and the configuration last; new names by the alphabet."""
    fixed = [column.name for column in fixed_columns()]
    start = fixed.index("position") + 1
    extra = sorted(set(values) - set(fixed))
    point = [name for name in extra if name.startswith("point.")]
    config = [name for name in extra if name.startswith("config.")]
    rest = [name for name in extra if not name.startswith(("point.", "config."))]
    ordered = [*fixed[:start], *point, *fixed[start:], *rest, *config]
    return [name for name in ordered if name in values]


def _kind_of(cells: Iterable[Any]) -> Kind:
    """The narrowest type that holds all these values unchanged in meaning; JSON text where there is none."""
    found = {type(v) for v in cells if v is not None}
    if found == {bool}:
        return "bool"
    if found == {int}:
        return "int64" if all(v is None or _fits(v) for v in cells) else "json"
    if found == {float}:
        return "double"
    if found == {int, float}:
        whole = all(not isinstance(v, int) or abs(v) <= 2**53 for v in cells)
        return "double" if whole else "json"
    return "string" if found <= {str} else "json"


@lru_cache(maxsize=4096)
def _field(column: Column, empty: bool) -> pa.Field[Any]:
    import pyarrow as pa

    told = column.kind
    metadata = ({"unit": column.unit} if column.unit else {}) | ({"encoding": "json"} if told == "json" else {})
    named: pa.DataType = pa.string() if told == "json" or told == "strings" else pa.type_for_alias(told)
    kind = pa.null() if empty else pa.list_(named) if column.kind == "strings" else named
    return pa.field(column.name, kind, nullable=True, metadata=metadata or None)
