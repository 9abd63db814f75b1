"""Writes a Parquet file so that it is whole or not there, also after a power loss."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def write_table_file(table: pa.Table, path: Path) -> None:
    """Write a table to the disk, then give it its name. Raises OSError; then what was at `path` still is.

    Its name is safe with the next fsync of the folder, which is that of the file that names it: a result, a manifest.
    """
    import pyarrow.parquet as pq

    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        pq.write_table(table, temporary, compression="zstd")
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
