"""A study's results as one table that holds what is on disk now, whatever `results.parquet` holds.

Rows whose `result.json` is still the file that they were read from are taken from `results.parquet`; what is new or was
written anew is read from its job directory, and rows of results that are gone are left out. So a crash, a resume or a
deleted folder cannot make the table wrong: only slower.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llem.errors import ResultError
from llem.results.arrow_array import array_of
from llem.results.arrow_table import joined, rows_table
from llem.results.parts import PARQUET, PartFile, UnreadablePartError, part_files
from llem.results.rows import rows_of
from llem.results.stamps import GONE, MODIFIED, SIZE, Stamp, stamps
from llem.results.store import is_study

if TYPE_CHECKING:
    import pyarrow as pa

_STAMPED = ["directory", MODIFIED, SIZE]

CHUNK_ROWS = 250
"""Number of rows that are Python objects at once; a table takes a hundredth of that memory."""


@dataclass(frozen=True)
class Part:
    """Some rows of a study: of a file of `results.parquet`, or held in memory.

    Attributes:
        rows: how many there are.
        stale: which of them (from 0) no longer are what is on disk.
    """

    source: PartFile | pa.Table
    rows: int
    stale: Sequence[int]

    @property
    def path(self) -> Path | None:
        """The file, None for rows in memory."""
        return self.source.path if isinstance(self.source, PartFile) else None

    def fresh(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows that are not stale; of `columns` those that there are. Raises UnreadablePartError."""
        import pyarrow as pa

        source = self.source
        table = source.read(columns) if isinstance(source, PartFile) else _chosen(source, columns)
        if not self.stale:
            return table
        stale = frozenset(self.stale)
        return table.filter(array_of([number not in stale for number in range(table.num_rows)], pa.bool_()))


class StudyTable:
    """The results of a study as they were on disk when this was made.

    Args:
        study_dir: the study's folder.
        use_parquet: False reads every result from its job directory.
        held: rows that are in memory and in no file yet.

    Raises:
        ResultError: there is no study in this folder, or its `results.parquet` is of a newer llem.
    """

    def __init__(self, study_dir: Path | str, *, use_parquet: bool = True, held: Sequence[pa.Table] = ()) -> None:
        self.directory = Path(study_dir)
        require_study(self.directory)
        self.parts: list[Part] = []
        self.unreadable: list[str] = []
        """Problems with files that cannot be read; their rows are read from the job directories."""
        on_disk = stamps(self.directory)
        for table in held:
            self.parts.append(Part(table, table.num_rows, _stale(table.select(_STAMPED), on_disk)))
        for path in part_files(self.directory / PARQUET) if use_parquet else ():
            try:
                file = PartFile(path)
                stamped = file.read(_STAMPED)
            except UnreadablePartError as error:
                self.unreadable.append(str(error))
            else:
                self.parts.append(Part(file, stamped.num_rows, _stale(stamped, on_disk)))
        self.missing = sorted(on_disk)
        """Job directories, relative to the study's folder, whose result is in no part. In the order of their names."""

    @property
    def is_current(self) -> bool:
        """Tell whether `results.parquet` holds exactly what is on disk."""
        return not (self.missing or self.unreadable or any(part.stale for part in self.parts))

    def __len__(self) -> int:
        return sum(part.rows - len(part.stale) for part in self.parts) + len(self.missing)

    @property
    def columns(self) -> list[str]:
        """Names of all columns."""
        schemas = [part.source.schema for part in self.parts]
        schemas += [table.schema for table in self._read_anew]
        return list(dict.fromkeys(name for schema in schemas for name in schema.names))

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """All rows, those of `results.parquet` first; of `columns` those that there are, None for all."""
        tables = []
        for part in list(self.parts):
            try:
                tables.append(part.fresh(columns))
            except UnreadablePartError as error:
                self._give_up(part, error)
        tables += [_chosen(table, columns) for table in self._read_anew]
        return joined(tables) if tables else _chosen(rows_table([]), columns)

    @cached_property
    def _read_anew(self) -> list[pa.Table]:
        return list(tables_of(rows_of(self.directory, self.missing)))

    def _give_up(self, part: Part, error: UnreadablePartError) -> None:
        """A part turned out to be damaged where it had not been read yet: its rows are read from the job directories."""
        self.unreadable.append(str(error))
        names = [str(name) for name in part.fresh(["directory"]).column("directory").to_pylist()]
        self._read_anew.extend(tables_of(rows_of(self.directory, names)))
        self.missing = sorted([*self.missing, *names])
        self.parts.remove(part)


def require_study(folder: Path) -> None:
    """Raises ResultError where a folder is no study's."""
    if not is_study(folder):
        raise ResultError(
            "this is no study's folder: it has neither manifest.json nor experiments/.",
            where=str(folder),
            remedy="Give the folder that `llem run` named, such as results/NAME-TIMESTAMP.",
        )


def tables_of(rows: Iterable[Mapping[str, Any]]) -> Iterator[pa.Table]:
    """Rows as tables of a bounded number of rows each."""
    source = iter(rows)
    while chunk := list(islice(source, CHUNK_ROWS)):
        yield rows_table(chunk)


def _stale(table: pa.Table, on_disk: dict[str, Stamp]) -> Sequence[int]:
    """Compare rows with what is on disk; takes those that hold out of `on_disk`, so that no result counts twice."""
    if table.column_names != _STAMPED:
        return range(table.num_rows)  # of a version that kept no stamps
    stale = []
    for number, (name, modified_ns, size) in enumerate(zip(*(c.to_pylist() for c in table.columns), strict=True)):
        stamp = (modified_ns, size)
        if stamp == GONE or on_disk.get(name) != stamp:
            stale.append(number)
        else:
            del on_disk[name]
    return stale


def _chosen(table: pa.Table, columns: Sequence[str] | None) -> pa.Table:
    return table if columns is None else table.select([c for c in columns if c in table.column_names])
