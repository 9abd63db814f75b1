"""A store of baselines in a folder.

Each acceptance makes a folder of its own, `NAME/study-…`, and only when all of it is on the disk the record `NAME/baseline.json`, which
names it, is replaced in one step. Whoever reads sees the old baseline or the new one; what was half written is named by no record.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from llem.plugin_api import ConfigError, ResultError, inside, one_line, read_file
from llem_analysis.baseline_record import (
    MARKER,
    MOST_RECORD,
    RECORD,
    Record,
    StoredFile,
    is_name,
    marker_text,
    require_marker,
)
from llem_analysis.baseline_study import copied


class FolderStore:
    """Baselines below a folder, which need not exist before the first is accepted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.label = str(folder)

    def names(self) -> list[str]:
        """The baselines in it. Raises ResultError where it is no store."""
        self._require_store()
        with os.scandir(self._folder) as entries:
            found = sorted(one.name for one in entries if is_name(one.name))
        return [name for name in found if os.path.lexists(self._folder / name / RECORD)]

    @contextmanager
    def reading(self) -> Iterator[Callable[[str, int], bytes | None]]:
        """A reader of files by name and largest size; None where there is none. Raises as `names`."""
        self._require_store()
        yield self._read

    def put(
        self, name: str, study: Path, files: Sequence[str], make: Callable[[str, Sequence[StoredFile]], Record]
    ) -> Record:
        """Keep these files of a study, and then, in one step, make them the baseline of this name."""
        try:
            self._begin()
            (self._folder / name).mkdir(exist_ok=True)
            place = inside(self._folder, name)
            made = Path(tempfile.mkdtemp(dir=place, prefix="study-"))
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            made.chmod(0o755)
            record = make(made.name, [copied(study, one, made, durable=True) for one in files])
            written = made / RECORD
            _write(written, record.text().encode())
            _sync_folders(made)
            written.replace(place / RECORD)
            _sync(place)
        except BaseException as error:
            shutil.rmtree(made, ignore_errors=True)
            if isinstance(error, OSError):
                raise self._unwritable(error) from error
            raise
        return record

    def _begin(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(self._folder / MARKER):
            self._require_store()
            return
        with os.scandir(self._folder) as entries:
            other = next((one.name for one in entries if not one.name.startswith(".")), None)
        if other is not None and not os.path.lexists(self._folder / MARKER):
            raise ConfigError(
                f"it is no store of baselines, and not empty: it holds `{one_line(other, 100)}`.",
                where=self.label,
                remedy="Name a folder of its own.",
            )
        handle, temporary = tempfile.mkstemp(dir=self._folder, prefix=f".{MARKER}.")
        with os.fdopen(handle, "wb") as stream:
            stream.write(marker_text().encode())
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(self._folder / MARKER)  # whole, or not there; another's of the same moment is the same

    def _require_store(self) -> None:
        data = self._read(MARKER, MOST_RECORD)
        if data is None:
            raise ResultError(
                "there is no store of baselines here.",
                where=self.label,
                remedy=f"The first that is accepted makes one: llem baseline accept STUDY --store {self.label}.",
            )
        require_marker(data, self.label)

    def _read(self, name: str, most: int) -> bytes | None:
        path = inside(self._folder, name)
        try:
            return read_file(path, most)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise ResultError(f"it cannot be read: {error.strerror or error}.", where=str(path)) from error

    def _unwritable(self, error: OSError) -> ConfigError:
        return ConfigError(
            f"the baseline cannot be written: {error.strerror or error}.",
            where=self.label,
            remedy="Mend the folder's permissions, make room, or name another with --store.",
        )


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())


def _sync_folders(top: Path) -> None:
    for folder, _, _ in os.walk(top):
        _sync(Path(folder))


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
