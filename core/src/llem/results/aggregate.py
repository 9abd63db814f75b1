"""Makes `results.parquet` of what is on disk: a row for each experiment and cycle.

It can be made anew at any time. While a study runs, `TableWriter` adds its rows as experiments finish, a part at a time,
so that the work for each does not grow with the study; at its end only what changed otherwise is read again.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from llem.results import parts
from llem.results.arrow_table import joined, rows_table
from llem.results.models import ExperimentResult
from llem.results.parts import PARQUET as PARQUET
from llem.results.parts import PART_ROWS
from llem.results.rows import result_row, rows_of, stamped
from llem.results.stamps import stamp_of
from llem.results.table import CHUNK_ROWS, StudyTable, tables_of

if TYPE_CHECKING:
    import pyarrow as pa


def aggregate(study_dir: Path | str, *, rebuild: bool = False) -> Path:
    """Bring a study's `results.parquet` up to date with its job directories, and return its path.

    Args:
        rebuild: read every result again, also those that did not change.

    Raises:
        ResultError: the folder is no study's, or cannot be written.
    """
    return TableWriter(study_dir).finish(rebuild=rebuild)


class TableWriter:
    """Writes a study's results as they come, in memory that does not grow with the study.

    Args:
        study_dir: the study's folder. What its `results.parquet` holds already stays.

    Raises (every method): ResultError: the results cannot be written. Nothing is lost by that: job directories have it all.
    """

    def __init__(self, study_dir: Path | str) -> None:
        self._study_dir = Path(study_dir)
        self._path = self._study_dir / PARQUET
        self._rows: list[dict[str, Any]] = []
        self._tables: list[pa.Table] = []

    def add(self, result: ExperimentResult, directory: str) -> None:
        """An experiment finished: its result, which is on disk, and its job directory relative to the study's folder."""
        self._rows.append(stamped(result_row(result, directory), stamp_of(self._study_dir / directory)))
        if len(self._rows) >= CHUNK_ROWS:
            self._pack()

    def finish(self, *, rebuild: bool = False, verify: bool = False) -> Path:
        """Write what is left, and put right whatever is not as it is on disk; returns the path.

        Args:
            rebuild: read every result again, also those that did not change.
            verify: bits of the table itself may have changed: a single file is made anew, of parts every page is checked.
        """
        parts.clear(self._path)
        rebuild = rebuild or (verify and (self._path.is_file() or not parts.is_whole(self._path)))
        self._pack()
        if self._tables and self._path.is_dir():
            self._flush()
        table = StudyTable(self._study_dir, use_parquet=not rebuild, held=self._tables)
        if len(table) > PART_ROWS:
            self._finish_large(table, rebuild)
        elif rebuild or self._tables or not table.is_current or not self._path.is_file():
            whole = table.read()
            names = [str(name) for name in whole.column("directory").to_pylist()]
            # Arrow loads all its functions for the first sort, which takes longer than a small study's table.
            parts.write_single(self._path, whole if names == sorted(names) else whole.sort_by("directory"))
        self._tables = []
        return self._path

    def _finish_large(self, table: StudyTable, rebuild: bool) -> None:
        if rebuild:
            parts.remove(self._path)
        for part in table.parts:
            if part.path is not None and part.stale:
                parts.replace_part(part.path, part.fresh())
        for rows in tables_of(rows_of(self._study_dir, table.missing)):
            self._hold(rows)
        if self._tables:
            self._flush()
        parts.unify(self._path)

    def _pack(self) -> None:
        rows, self._rows = self._rows, []
        if rows:
            self._hold(rows_table(rows))

    def _hold(self, table: pa.Table) -> None:
        self._tables.append(table)
        if sum(held.num_rows for held in self._tables) >= PART_ROWS:
            self._flush()

    def _flush(self) -> None:
        parts.write_part(self._path, joined(self._tables))
        self._tables = []
