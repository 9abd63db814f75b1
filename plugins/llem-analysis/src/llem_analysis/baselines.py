"""Baselines of the gate that were accepted on purpose, in a folder or a branch of git: accepted, listed, and read back, checked."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from llem.plugin_api import ConfigError, ResultError, closest
from llem_analysis.baseline_branch import BranchStore
from llem_analysis.baseline_folder import FolderStore
from llem_analysis.baseline_record import MOST_RECORD, RECORD, Record, StoredFile, parse_record, require_name
from llem_analysis.baseline_study import kept_files, require_finished, study_name_of

_BRANCH = "git:"
_MOST_FILE = 512 * 2**20

_Reader = Callable[[str, int], bytes | None]
"""The content of a file by its name and its largest size; None where there is none."""


class _Store(Protocol):
    """A place for baselines."""

    label: str

    def names(self) -> list[str]: ...

    def reading(self) -> AbstractContextManager[_Reader]: ...

    def put(
        self, name: str, study: Path, files: Sequence[str], make: Callable[[str, Sequence[StoredFile]], Record]
    ) -> Record: ...


@dataclass(frozen=True)
class Baseline:
    """A baseline in a store.

    Attributes:
        name: what it was accepted as; study: name of the study's folder; accepted_at: UTC, ISO 8601.
        files: number of its files; size: of all of them in bytes.
        damage: why it cannot be taken, a sentence; None where its record can be read. Its files are checked when a gate takes it.
    """

    name: str
    study: str = ""
    accepted_at: str = ""
    files: int = 0
    size: int = 0
    damage: str | None = None


def accept_baseline(study: Path | str, store: str, name: str = "main") -> Baseline:
    """Keep a finished study as the baseline of this name; the one before it stays the baseline until all of it is there.

    Args:
        study: its folder.
        store: a folder, or `git:BRANCH` of the repository of this folder.
        name: of the baseline.

    Raises:
        ConfigError: the name or the store cannot be taken, or there is no git.
        ResultError: it is no study, not finished, damaged, or holds a link.
    """
    require_name(name)
    folder = Path(study)
    require_finished(folder)
    called = study_name_of(folder)

    def make(place: str, files: Sequence[StoredFile]) -> Record:
        return Record(called, datetime.now(UTC).isoformat(timespec="seconds"), place, tuple(files))

    return _baseline(name, _open(store).put(name, folder, kept_files(folder), make))


def list_baselines(store: str) -> list[Baseline]:
    """The baselines of a store, by name. Raises ResultError where it is none."""
    opened = _open(store)
    names = opened.names()
    with opened.reading() as read:
        return [_listed(read, name, opened.label) for name in names]


@contextmanager
def stored_baseline(store: str, name: str) -> Iterator[Path]:
    """The folder of a baseline's study, a checked copy that is removed at the end.

    Raises:
        ConfigError: the name or the store cannot be taken, or there is no git.
        ResultError: there is no such baseline, or a file of it is missing or another than was accepted.
    """
    require_name(name)
    opened = _open(store)
    with tempfile.TemporaryDirectory(prefix="llem-baseline-") as temporary:
        with opened.reading() as read:
            record = _record(read, name, opened)
            folder = Path(temporary) / record.study
            for one in record.files:
                _copy(read, f"{name}/{record.folder}/{one.name}", one, folder, f"{name} in {opened.label}")
        yield folder


def _open(store: str) -> _Store:
    if store.startswith(_BRANCH):
        return BranchStore(store.removeprefix(_BRANCH))
    if not store or "\0" in store:
        raise ConfigError("there is no store.", remedy="Name a folder, or git:BRANCH, with --store.")
    return FolderStore(Path(store))


def _baseline(name: str, record: Record) -> Baseline:
    return Baseline(name, record.study, record.accepted_at, len(record.files), sum(one.size for one in record.files))


def _listed(read: _Reader, name: str, label: str) -> Baseline:
    try:
        data = read(f"{name}/{RECORD}", MOST_RECORD)
        return _baseline(name, parse_record(data or b"", f"{name} in {label}"))
    except ResultError as error:
        return Baseline(name, damage=str(error))


def _record(read: _Reader, name: str, store: _Store) -> Record:
    data = read(f"{name}/{RECORD}", MOST_RECORD)
    if data is None:
        names = store.names()
        near = closest(name, names)
        known = f"It holds {', '.join(names[:20])}." if names else "It holds none yet."
        raise ResultError(
            f"there is no baseline `{name}` in this store.",
            where=store.label,
            remedy=f"Did you mean {near}? {known}" if near else f"{known} `llem baseline accept` puts one there.",
        )
    return parse_record(data, f"{name} in {store.label}")


def _copy(read: _Reader, path: str, one: StoredFile, folder: Path, where: str) -> None:
    data = read(path, _MOST_FILE)
    if data is None:
        wrong = "is missing"
    elif len(data) != one.size or hashlib.sha256(data).hexdigest() != one.sha256:
        wrong = "is not the one that was accepted: it was changed since"
    else:
        target = folder / one.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        return
    raise ResultError(
        f"this baseline is damaged: its file `{one.name}` {wrong}.",
        where=where,
        remedy="Put the file back, from a copy or an earlier commit, or accept a baseline anew.",
    )
