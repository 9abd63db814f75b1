"""A run's Parquet files: written so that they are whole or not there, also after a power loss; read if they can be."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llem.files import open_parquet
from llem.results.arrow_array import array_of
from llem.results.writable import writable

if TYPE_CHECKING:
    import pyarrow as pa


def column_of(cells: Sequence[Any], kind: pa.DataType) -> pa.Array[Any]:
    """Values as a column of a type. What neither the type nor UTF-8 can hold is written out as text, or is null: the rest stands."""
    try:
        return array_of(cells, kind)
    except (OverflowError, TypeError, ValueError):
        found = [writable(cell) for cell in cells]
    fitting = []
    for cell in found:
        try:
            array_of([cell], kind)
        except (OverflowError, TypeError, ValueError):
            cell = None
        fitting.append(cell)
    return array_of(fitting, kind)


def write_table_file(table: pa.Table, path: Path) -> None:
    """Write a table to the disk, then give it its name. Raises OSError; then what was at `path` still is.

    Its name is safe with the next fsync of the folder, which is that of the file that names it: a result, a manifest.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write_through(table, temporary)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def write_through(table: pa.Table, file: Path, **options: Any) -> None:
    """Write a table to a file of its own, down to the disk; `options` are those of `pyarrow.parquet.write_table`. Raises OSError."""
    import pyarrow.parquet as pq

    file.unlink(missing_ok=True)
    # Opened here: pyarrow takes no path that is not UTF-8.
    with file.open("xb") as stream:
        pq.write_table(table, stream, compression="zstd", **options)
        stream.flush()
        os.fsync(stream.fileno())


def table_of(path: Path, columns: Sequence[str]) -> pa.Table | None:
    """These columns of a table of a run, those that it has; None where it is missing or damaged."""
    import pyarrow as pa

    try:
        with open_parquet(path) as file:
            return file.read([name for name in columns if name in file.schema_arrow.names])
    except (OSError, pa.ArrowException):
        return None
