"""An append-only file of changes, one JSON object a line, on the disk before `append` returns.

Each line ends with a CRC-32 over what stands before it in the line, so that a line which is torn, cut or changed by a
single bit is known to be one. A reader takes the whole lines up to the first that is none.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llem.files import parse_json, read_file

JOURNAL = "journal.jsonl"

_SUM = b',"crc32":"'
_TAIL = len(_SUM) + 8 + len(b'"}\n')


class Journal:
    """Appends to the file; one that is there already is replaced by an empty one, atomically.

    Raises (every method): OSError.
    """

    def __init__(self, path: Path) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        temporary.unlink(missing_ok=True)
        self._file = os.open(temporary, flags, 0o666)
        try:
            temporary.replace(path)
            sync_folder(path.parent)
        except OSError:
            os.close(self._file)
            temporary.unlink(missing_ok=True)
            raise
        self._end = 0
        self._torn = False

    def append(self, change: Mapping[str, Any]) -> None:
        """Write one change through to the disk. Raises OSError; then the file is as it was before."""
        data = line_of(change)
        if self._torn:
            self._cut_back()
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._file, view) :]
            os.fdatasync(self._file)
        except OSError:
            self._torn = True
            self._cut_back()
            raise
        self._end += len(data)

    def _cut_back(self) -> None:
        """Take away a torn line, which would hide every later one from readers. Where that fails too, it comes first next time."""
        os.ftruncate(self._file, self._end)
        os.lseek(self._file, self._end, os.SEEK_SET)
        self._torn = False

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def sync_folder(folder: Path) -> None:
    """Write a folder's entries through to the disk, so that a file in it keeps its name also after a power loss."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def line_of(change: Mapping[str, Any]) -> bytes:
    """A change, which is not empty, as a line of the journal."""
    body = json.dumps(change, ensure_ascii=False, separators=(",", ":")).encode(errors="backslashreplace")[:-1]
    return body + _SUM + f"{zlib.crc32(body):08x}".encode() + b'"}\n'


def change_of(line: bytes) -> dict[str, Any] | None:
    """The change that a line holds, None where the line is not whole or not what was written."""
    body, tail = line[:-_TAIL], line[-_TAIL:]
    if tail != _SUM + f"{zlib.crc32(body):08x}".encode() + b'"}\n':
        return None
    try:
        change = parse_json(body + b"}")
    except ValueError:
        return None
    return change if isinstance(change, dict) else None


@dataclass(frozen=True)
class JournalContent:
    """The content of a journal.

    Attributes:
        changes: in order, up to the first line that is none.
        damage: what is wrong with the rest, a clause; None where all of it could be read.
    """

    changes: tuple[dict[str, Any], ...]
    damage: str | None = None


def read_journal(path: Path) -> JournalContent:
    """The changes of a journal; none where there is no file. Raises OSError where it cannot be read."""
    try:
        return parse_journal(read_file(path))
    except FileNotFoundError:
        return JournalContent(())


def parse_journal(data: bytes) -> JournalContent:
    """The changes that the bytes of a journal hold."""
    changes: list[dict[str, Any]] = []
    at = 0
    while at < len(data):
        end = data.find(b"\n", at) + 1
        change = change_of(data[at:end]) if end else None
        if change is None:
            return JournalContent(tuple(changes), _damage(data, at, end, len(changes)))
        changes.append(change)
        at = end
    return JournalContent(tuple(changes))


def _damage(data: bytes, at: int, end: int, before: int) -> str:
    if not end:
        return f"its last line is not finished (byte {at} of {len(data)}): whoever wrote it was stopped in the middle"
    after = data.count(b"\n", end)
    rest = f", and the {after} after it cannot follow" if after else ""
    return f"its line {before + 1} (byte {at} of {len(data)}) is not what was written{rest}"
