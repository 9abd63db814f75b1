"""`results.parquet` on disk: one file, or for a large study a folder of part files that all have one schema."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from llem.errors import ResultError
from llem.results.arrow_table import conformed, joined, merged_schema
from llem.results.models import SCHEMA_VERSION

if TYPE_CHECKING:
    import pyarrow as pa

PARQUET = "results.parquet"

PART_ROWS = 2_000
"""Up to so many rows there is one file; beyond that, parts of so many rows each."""

_PART = "part-{:06d}.parquet"


class UnreadablePartError(ResultError):
    """A file that cannot be read; what it held can be made anew from the job directories."""


def part_files(path: Path) -> list[Path]:
    """The files of a `results.parquet`, in order: itself, its parts, or none."""
    if path.is_dir():
        return sorted(p for p in path.iterdir() if p.suffix == ".parquet" and not p.name.startswith("."))
    return [path] if path.is_file() else []


def read_part(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """One file of a `results.parquet`; of `columns` those that it has.

    Raises:
        UnreadablePartError: it cannot be read, its checksum does not hold, or it is not llem's.
        ResultError: it is of a newer schema.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            schema = file.schema_arrow
            _check_version(schema, path)
            wanted = None if columns is None else [name for name in columns if name in schema.names]
            return file.read(wanted)
    except (OSError, pa.ArrowException) as error:
        raise UnreadablePartError(
            f"it cannot be read: {' '.join(str(error).split())}.",
            where=str(path),
            remedy="It can be made anew: llem show STUDY --rebuild.",
        ) from error


def read_parquet(path: Path) -> pa.Table:
    """Read a whole `results.parquet`, file or folder. Raises ResultError as `read_part`, or where there is none."""
    files = part_files(path)
    if not files:
        raise ResultError("there is no results.parquet here.", where=str(path))
    return joined([read_part(file) for file in files])


def write_single(path: Path, table: pa.Table) -> None:
    """Write `results.parquet` as one file, in the place of whatever there was. Raises ResultError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with _writing(path, temporary):
        _write(table, temporary)
        if path.is_dir():
            shutil.rmtree(path)
        temporary.replace(path)


def write_part(path: Path, table: pa.Table) -> None:
    """Add a part to `results.parquet`, which becomes a folder where it was one file. Raises ResultError."""
    with _writing(path, None):
        _make_folder(path)
        last = [int(stem) for p in part_files(path) if (stem := p.stem.rpartition("-")[2]).isdigit()]
        replace_part(path / _PART.format(max(last, default=0) + 1), table)


def replace_part(file: Path, table: pa.Table) -> None:
    """Write one part file atomically; without rows it is removed. Raises ResultError."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    with _writing(file, temporary):
        if table.num_rows:
            _write(table, temporary)
            temporary.replace(file)
        else:
            file.unlink(missing_ok=True)


def unify(path: Path) -> None:
    """Give all parts one schema, so that any reader of Parquet takes the folder as one table. Parts that have it stay.

    Raises:
        ResultError: a part cannot be read or written.
    """
    import pyarrow.parquet as pq

    files = part_files(path)
    if len(files) < 2:
        return
    schemas = [pq.read_schema(file) for file in files]
    common = merged_schema(schemas, lambda number, name: read_part(files[number], [name]).column(name))
    for file, schema in zip(files, schemas, strict=True):
        if not schema.equals(common, check_metadata=True):
            replace_part(file, conformed(read_part(file), common))


def clear(path: Path) -> None:
    """Remove what a writer that was killed left beside `results.parquet` and in it. Raises ResultError."""
    with _writing(path, None):
        for left in (*path.parent.glob(f".{path.name}.*"), *path.glob(".*.tmp")):
            if left.is_dir():
                shutil.rmtree(left)
            else:
                left.unlink(missing_ok=True)


def remove(path: Path) -> None:
    """Remove `results.parquet`, whatever it is. Raises ResultError."""
    with _writing(path, None):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _make_folder(path: Path) -> None:
    if path.is_dir():
        return
    folder = path.with_name(f".{path.name}.{os.getpid()}.new")
    folder.mkdir(exist_ok=True)
    if path.is_file():
        path.replace(folder / _PART.format(1))
    folder.replace(path)


def _write(table: pa.Table, file: Path) -> None:
    import pyarrow.parquet as pq

    pq.write_table(table, file, compression="zstd", write_page_checksum=True)
    with file.open("rb") as stream:
        os.fsync(stream.fileno())


def _check_version(schema: pa.Schema, path: Path) -> None:
    found = (schema.metadata or {}).get(b"llem.schema_version", b"").decode()
    if not found.isdecimal():
        raise UnreadablePartError("this Parquet file is not a results.parquet of llem.", where=str(path))
    if int(found) > SCHEMA_VERSION:
        raise ResultError(
            f"these results are of schema version {found}; this llem reads up to version {SCHEMA_VERSION}.",
            where=str(path),
            remedy="A newer llem wrote them: pip install --upgrade llem.",
        )


@contextmanager
def _writing(path: Path, temporary: Path | None) -> Iterator[None]:
    """Turns the OSError of a write into a ResultError, and removes the unfinished file."""
    try:
        yield
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise ResultError(f"the results cannot be written: {error}.", where=str(path)) from error
