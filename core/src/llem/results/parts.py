"""`results.parquet` on disk: one file, or for a large study a folder of part files that all have one schema."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from llem.errors import ResultError
from llem.files import open_parquet
from llem.results.arrow_table import conformed, merged_schema
from llem.results.models import SCHEMA_VERSION
from llem.results.table_file import write_table_file, written_beside

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


def is_whole(path: Path) -> bool:
    """Tell whether every page of every file is as it was written; footers have no checksum, and are only read."""
    try:
        for file in part_files(path):
            PartFile(file).read()
    except UnreadablePartError:
        return False
    return True


class PartFile:
    """One file of a `results.parquet`, open: what is read is what it was when this was made, also if it is replaced.

    Raises:
        UnreadablePartError: it cannot be read, or it is not llem's.
        ResultError: it is of a newer schema.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._reading():
            self._file = open_parquet(path, page_checksum_verification=True)
            self.schema = self._file.schema_arrow
        _check_version(self.schema, path)

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Its rows; of `columns` those that it has. Raises UnreadablePartError, also where a checksum does not hold."""
        wanted = None if columns is None else [name for name in columns if name in self.schema.names]
        with self._reading():
            return self._file.read(wanted)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        import pyarrow as pa

        try:
            yield
        except (OSError, pa.ArrowException) as error:
            raise UnreadablePartError(
                f"it cannot be read: {' '.join(str(error).split())}.",
                where=str(self.path),
                remedy="It can be made anew: llem show STUDY --rebuild.",
            ) from error


def write_single(path: Path, table: pa.Table) -> None:
    """Write `results.parquet` as one file, in the place of whatever there was. Raises ResultError."""
    with _writing(path), written_beside(table, path, write_page_checksum=True) as temporary:
        if path.is_dir():
            shutil.rmtree(path)
        temporary.replace(path)


def write_part(path: Path, table: pa.Table) -> None:
    """Add a part to `results.parquet`, which becomes a folder where it was one file. Raises ResultError."""
    with _writing(path):
        _make_folder(path)
        last = [int(stem) for p in part_files(path) if (stem := p.stem.rpartition("-")[2]).isdigit()]
        replace_part(path / _PART.format(max(last, default=0) + 1), table)


def replace_part(file: Path, table: pa.Table) -> None:
    """Write one part file atomically; without rows it is removed. Raises ResultError."""
    with _writing(file):
        if table.num_rows:
            write_table_file(table, file, write_page_checksum=True)
        else:
            file.unlink(missing_ok=True)


def unify(path: Path) -> None:
    """Give all parts one schema, so that any reader of Parquet takes the folder as one table. Parts that have it stay.

    Raises:
        ResultError: a part cannot be read or written.
    """
    files = [PartFile(file) for file in part_files(path)]
    common = merged_schema([f.schema for f in files], lambda number, name: files[number].read([name]).column(name))
    for file in files:
        if not file.schema.equals(common, check_metadata=True):
            replace_part(file.path, conformed(file.read(), common))


def clear(path: Path) -> None:
    """Remove what a writer that was killed left beside `results.parquet` and in it. Raises ResultError."""
    with _writing(path):
        for left in (*path.parent.glob(f".{path.name}.*"), *path.glob(".*.tmp")):
            if left.is_dir():
                shutil.rmtree(left)
            else:
                left.unlink(missing_ok=True)


def remove(path: Path) -> None:
    """Remove `results.parquet`, whatever it is. Raises ResultError."""
    with _writing(path):
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
def _writing(path: Path) -> Iterator[None]:
    """Turns the OSError of a write into a ResultError."""
    if (path if path.name == PARQUET else path.parent).is_symlink():
        raise ResultError(
            "the results cannot be written: this is a link, and they are written to the study's own folder only.",
            where=str(path),
            remedy="Remove the link: the table is made anew from the job directories.",
        )
    try:
        yield
    except OSError as error:
        raise ResultError(f"the results cannot be written: {error}.", where=str(path)) from error
