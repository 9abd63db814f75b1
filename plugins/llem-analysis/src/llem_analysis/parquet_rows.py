"""The rows of a table of results as Python objects."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def parquet_rows(table: pa.Table) -> list[dict[str, Any]]:
    """The rows of a `results.parquet` as `study_rows` gives them: JSON text read back, absent swept values left out.

    Values that repeat are one object: nothing may be changed in a row's lists and mappings.
    """
    names = table.column_names
    columns = [_column(table.column(name), table.schema.field(name)) for name in names]
    if not columns:
        return [{} for _ in range(table.num_rows)]
    rows = [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
    for name, values in zip(names, columns, strict=True):
        if name.startswith(("point.", "config.")) and None in values:
            for row in rows:
                if row[name] is None:
                    del row[name]
    return rows


def _column(column: pa.ChunkedArray[Any], field: pa.Field[Any]) -> list[Any]:
    """The values of a column, those that repeat read once."""
    import pyarrow as pa

    if column.null_count == len(column):
        return [None] * len(column)
    read = json.loads if (field.metadata or {}).get(b"encoding") == b"json" else None
    found: list[Any] = []
    for chunk in column.chunks:
        if pa.types.is_string(field.type):
            encoded: Any = chunk.dictionary_encode()
            distinct: list[Any] = encoded.dictionary.to_pylist()
            if read is not None:
                distinct = [read(text) for text in distinct]
            found += [None if place is None else distinct[place] for place in encoded.indices.to_pylist()]
        elif field.type in (pa.float64(), pa.int64()) and not chunk.null_count and (data := chunk.buffers()[1]):
            numbers = memoryview(data).cast("d" if field.type == pa.float64() else "q")
            found += numbers[chunk.offset : chunk.offset + len(chunk)].tolist()
        else:
            found += chunk.to_pylist()
    return found
