"""A run's Parquet files: written so that they are whole or not there, also after a power loss."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

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


def write_table_file(table: pa.Table, path: Path, **options: Any) -> None:
    """Write a table to the disk, then give it its name. Raises OSError; then what was at `path` still is.

    Its name is safe with the next fsync of the folder, which is that of the file that names it: a result, a manifest.

    Args:
        options: those of `pyarrow.parquet.write_table`.
    """
    with written_beside(table, path, **options) as temporary:
        temporary.replace(path)


@contextmanager
def written_beside(table: pa.Table, path: Path, **options: Any) -> Iterator[Path]:
    """Write a table down to the disk under a name beside `path`, which the caller changes to `path`. Where that or this raises
    OSError it is removed."""
    import pyarrow.parquet as pq

    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.unlink(missing_ok=True)
        # Opened here: pyarrow takes no path that is not UTF-8.
        with temporary.open("xb") as stream:
            pq.write_table(table, stream, compression="zstd", **options)
            stream.flush()
            os.fsync(stream.fileno())
        yield temporary
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
