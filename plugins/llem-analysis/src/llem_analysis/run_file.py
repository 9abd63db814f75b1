"""A run's Parquet files, read if they can be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from llem.plugin_api import open_parquet

if TYPE_CHECKING:
    import pyarrow as pa


def table_of(path: Path, columns: Sequence[str]) -> pa.Table | None:
    """These columns of a table of a run, those that it has; None where it is missing or damaged."""
    import pyarrow as pa

    try:
        with open_parquet(path) as file:
            return file.read([name for name in columns if name in file.schema_arrow.names])
    except (OSError, pa.ArrowException):
        return None
