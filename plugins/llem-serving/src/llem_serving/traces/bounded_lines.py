"""Lines of a file that somebody else wrote, read one at a time and none without bound."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from llem.plugin_api import DatasetError

MOST_BYTES = 4 * 2**30
"""Of a file."""

MOST_LINE_BYTES = 2**20
"""Of a line of a trace."""


@contextmanager
def bounded_file(path: Path, most_bytes: int = MOST_BYTES) -> Iterator[BufferedReader]:
    """A regular file, open for reading; it opens at once, whatever stands there.

    Raises:
        DatasetError: it is not there, is no regular file, cannot be read, or is too large.
    """
    remedy = "Give the path of a file; a relative one starts from the study file's folder."
    try:
        # Looked at first: to open a device can do something to it, and a pipe would keep us waiting.
        if "\0" in str(path):
            raise DatasetError("no file has such a name.", where=repr(str(path)), remedy=remedy)
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise DatasetError("it is no regular file.", where=str(path), remedy=remedy)
        if found.st_size > most_bytes:
            raise DatasetError(
                f"it has {found.st_size:,} bytes; at most {most_bytes:,} are read.",
                where=str(path),
                remedy="Cut it to the stretch that is wanted.",
            )
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            yield stream
    except OSError as error:
        what = (error.strerror or str(error)).lower()
        raise DatasetError(f"it cannot be read: {what}.", where=str(path), remedy=remedy) from error


class BoundedLines:
    """The lines of a file without their ends, with their numbers from 1. Blank ones are passed over.

    Args:
        path: the file.
        most_line_bytes: of one line.
    """

    def __init__(self, path: Path, most_line_bytes: int = MOST_LINE_BYTES) -> None:
        self._path, self._most = path, most_line_bytes
        self._hash = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Of what has been read so far."""
        return self._hash.hexdigest()

    def __iter__(self) -> Iterator[tuple[int, str]]:
        """Read from the beginning.

        Raises:
            DatasetError: it cannot be read, or a line is too long or no UTF-8.
        """
        self._hash = hashlib.sha256()
        with bounded_file(self._path) as stream:
            number = 0
            while raw := self._next(stream, number + 1):
                number += 1
                self._hash.update(raw)
                text = self._decoded(raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw, number).strip()
                if text:
                    yield number, text

    def _next(self, stream: BufferedReader, number: int) -> bytes:
        raw = stream.readline(self._most + 1)
        if len(raw) > self._most:
            raise DatasetError(
                f"this line has more than {self._most:,} bytes.",
                where=f"{self._path}:{number}",
                remedy="Give a file of text with one record a line.",
            )
        return raw

    def _decoded(self, raw: bytes, number: int) -> str:
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise DatasetError(
                f"this line is not UTF-8: byte {raw[error.start]:#04x} at place {error.start + 1}.",
                where=f"{self._path}:{number}",
                remedy="Give a file of text, in UTF-8.",
            ) from error
