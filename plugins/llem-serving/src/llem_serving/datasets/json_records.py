"""Records of a file of JSON: one a line, or the members of one array, read one at a time."""

from __future__ import annotations

import codecs
import hashlib
import json
import re
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any

from llem.plugin_api import DatasetError
from llem_serving.traces.bounded_lines import BoundedLines, bounded_file

MOST_RECORD = 16 * 2**20
"""Of one record: bytes of a line, or characters of an array's member."""

_CHUNK = 2**20
_SPACE = re.compile(r"[\ufeff \t\r\n]*")
_REMEDY = "Give one JSON object a line, or one array of them, in UTF-8."


class JsonRecords:
    """Records with the numbers of the lines that they begin on, from 1.

    Args:
        path: the file. Where the first character is `[` it is an array, else JSON Lines.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.sha256 = ""
        """Of the file, once it has been read to its end."""

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        """Read from the beginning.

        Raises:
            DatasetError: it cannot be read, or a record is too long or no JSON.
        """
        with bounded_file(self._path) as stream:
            first = stream.read(4_096).removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
        yield from self._members() if first == b"[" else self._lines()

    def _lines(self) -> Iterator[tuple[int, Any]]:
        lines = BoundedLines(self._path, MOST_RECORD)
        for number, line in lines:
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError) as error:
                raise self._fault(f"this line is not JSON: {error}.", number) from error
        self.sha256 = lines.sha256

    def _members(self) -> Iterator[tuple[int, Any]]:
        decoder = json.JSONDecoder()
        with bounded_file(self._path) as stream:
            text = _Text(self._path, stream)
            text.take("[")
            while not text.ahead("]"):
                yield text.line, self._member(decoder, text)
                if not text.ahead("]"):
                    text.take(",")
            text.take("]")
            if text.ahead(""):
                raise self._fault("something follows the end of the array.", text.line)
            self.sha256 = text.sha256

    def _member(self, decoder: json.JSONDecoder, text: _Text) -> Any:
        wanted = _CHUNK
        while True:
            text.fill(wanted)
            try:
                value, end = decoder.raw_decode(text.held, text.at)
            except (ValueError, RecursionError) as error:
                # Either its end has not been read yet, or it is broken: more text tells.
                if text.ended or wanted >= MOST_RECORD or isinstance(error, RecursionError):
                    why = getattr(error, "msg", error)  # its line and column would be those of the text that is held
                    raise self._fault(
                        f"the record that begins here is not JSON, or longer than {MOST_RECORD:,} characters: {why}.",
                        text.line,
                    ) from error
                wanted *= 2
                continue
            text.move(end)
            return value

    def _fault(self, what: str, line: int) -> DatasetError:
        return DatasetError(what, where=f"{self._path}:{line}", remedy=_REMEDY)


class _Text:
    """The text of a file from the place where its reader is: `held` from `at` on."""

    def __init__(self, path: Path, stream: BufferedReader) -> None:
        self._path, self._stream = path, stream
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._hash = hashlib.sha256()
        self.held, self.at, self.ended, self.line = "", 0, False, 1

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def fill(self, characters: int) -> None:
        """Hold at least so many from `at` on, or all that are left."""
        if len(self.held) - self.at >= characters or self.ended:
            return
        parts, self.at = [self.held[self.at :]], 0
        count = len(parts[0])
        while count < characters and not self.ended:
            raw = self._stream.read(_CHUNK)
            self._hash.update(raw)
            self.ended = not raw
            try:
                parts.append(self._decoder.decode(raw, final=self.ended))
            except UnicodeDecodeError as error:
                raise self._fault("what follows is not UTF-8") from error
            count += len(parts[-1])
        self.held = "".join(parts)

    def move(self, to: int) -> None:
        """Go on to this place in `held`."""
        self.line += self.held.count("\n", self.at, to)
        self.at = to

    def ahead(self, character: str) -> bool:
        """True where this character is next, after white space; for none, where anything is."""
        while True:
            self.fill(1)
            found = _SPACE.match(self.held, self.at)
            self.move(found.end() if found else self.at)
            if self.at < len(self.held) or self.ended:
                return self.at < len(self.held) and self.held.startswith(character, self.at)

    def take(self, character: str) -> None:
        """Go past this character, which has to be next."""
        if not self.ahead(character):
            found = repr(self.held[self.at]) if self.at < len(self.held) else "the end of the file"
            raise self._fault(f"here is {found} where `{character}` has to be")
        self.move(self.at + 1)

    def _fault(self, what: str) -> DatasetError:
        return DatasetError(f"{what}.", where=f"{self._path}:{self.line}", remedy=_REMEDY)
