"""An append-only file of changes, one JSON object a line, safe on disk before `append` returns."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

JOURNAL = "journal.jsonl"


class Journal:
    """Appends to the file, which it makes."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        self._end = 0

    def append(self, change: Mapping[str, Any]) -> None:
        """Write one change through to the disk. Raises OSError; then the file is as it was before."""
        data = (json.dumps(change, ensure_ascii=False, separators=(",", ":")) + "\n").encode()
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._file, view) :]
            os.fsync(self._file)
        except OSError:
            # A torn line would hide every later one from readers.
            os.ftruncate(self._file, self._end)
            os.lseek(self._file, self._end, os.SEEK_SET)
            raise
        self._end += len(data)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def read_changes(path: Path) -> Iterator[dict[str, Any]]:
    """The changes in order, up to the first line that is torn or no JSON object; none where there is no file."""
    try:
        stream = path.open("rb")
    except FileNotFoundError:
        return
    with stream:
        for line in stream:
            if not line.endswith(b"\n"):
                return
            try:
                change = json.loads(line)
            except ValueError:
                return
            if not isinstance(change, dict):
                return
            yield change
