"""A response of HTTP/1.1 out of bytes as they arrive: what has come of its body is given out at once, however it is framed."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from enum import Enum, auto

HEAD_LIMIT = 64 << 10
"""Bytes of a response's head."""

_SIZE_LIMIT = 4 << 10
"""Bytes of the line with a chunk's size."""

_SIZE_DIGITS = 9
"""A chunk whose size has so many digits goes the long way."""

_UNPACKED = 1 << 20
"""Bytes that are unpacked at a time: little can hold much."""

_BODILESS = frozenset({204, 304})


class ProtocolError(Exception):
    """The server sends what is no HTTP."""


class _At(Enum):
    HEAD = auto()
    LENGTH = auto()
    SIZE = auto()
    CHUNK = auto()
    CHUNK_END = auto()
    TRAILER = auto()
    OPEN = auto()
    DONE = auto()


class ResponseReader:
    """Takes bytes, gives those of the body.

    Attributes:
        status: of HTTP; 0 until the head has come.
        fields: of the head, by their names in lower case; of one that stands twice, the last.
        is_reusable: the connection can take another request after this response.
    """

    def __init__(self) -> None:
        self.status = 0
        self.fields: dict[str, str] = {}
        self.is_reusable = False
        self._at = _At.HEAD
        self._rest = b""
        self._left = 0
        self._unpacker: zlib._Decompress | None = None

    @property
    def is_complete(self) -> bool:
        """The response has ended."""
        return self._at is _At.DONE

    def only_chunk(self, data: bytes) -> bytes | None:
        """The part of the body that these bytes are, where they are one chunk of it, whole, as nearly all arrive; None: see `feed`."""
        if self._at is not _At.SIZE or self._rest or self._unpacker is not None:
            return None
        end = data.find(b"\r\n")
        if not 0 < end < _SIZE_DIGITS or not data.endswith(b"\r\n") or not data[:end].isalnum():
            return None
        try:
            size = int(data[:end], 16)
        except ValueError:
            return None
        return data[end + 2 : -2] if size and len(data) == end + 4 + size else None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Parts of the body that these bytes hold.

        Raises:
            ProtocolError: they are no HTTP.
        """
        if self._rest:
            data, self._rest = self._rest + data, b""
        place, size = 0, len(data)
        while place < size or self._at is _At.DONE:
            match self._at:
                case _At.SIZE | _At.TRAILER | _At.CHUNK_END:
                    end = data.find(b"\n", place)
                    if end < 0:
                        self._keep(data[place:], _SIZE_LIMIT)
                        return
                    self._line(data[place:end].rstrip(b"\r"))
                    place = end + 1
                case _At.CHUNK | _At.LENGTH:
                    part = data[place : place + self._left]
                    place += len(part)
                    self._left -= len(part)
                    if not self._left:
                        self._at = _At.CHUNK_END if self._at is _At.CHUNK else _At.DONE
                    yield from self._unpacked(part)
                case _At.OPEN:
                    yield from self._unpacked(data[place:])
                    return
                case _At.HEAD:
                    end = data.find(b"\r\n\r\n", place)
                    if end < 0:
                        self._keep(data[place:], HEAD_LIMIT)
                        return
                    self._head(data[place:end])
                    place = end + 4
                case _At.DONE:
                    if place < size:
                        self.is_reusable = False  # nothing was asked that this could answer
                    return

    def end(self) -> None:
        """The connection has ended. Raises ProtocolError where the response had not."""
        if self._at is _At.OPEN:
            self._at = _At.DONE
        elif self._at is not _At.DONE:
            raise ProtocolError("the connection was closed" + (" before its response was whole" if self.status else ""))

    def _keep(self, rest: bytes, limit: int) -> None:
        if len(rest) > limit:
            raise ProtocolError("its response has a line without end")
        self._rest = rest

    def _head(self, head: bytes) -> None:
        first, *lines = head.decode("latin-1").split("\r\n")
        version, _, told = first.partition(" ")
        code = told[:3]
        if version not in ("HTTP/1.1", "HTTP/1.0") or not (code.isascii() and code.isdigit() and len(code) == 3):
            raise ProtocolError("what answers does not speak HTTP/1.1")
        if int(code) < 200:
            return  # provisional: the response follows
        self.status = int(code)
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon:
                raise ProtocolError("a line of its response's head is no field")
            self.fields[name.strip().lower()] = value.strip()
        keeps = self.fields.get("connection", "keep-alive" if version == "HTTP/1.1" else "close").lower()
        self.is_reusable = "close" not in keeps
        self._at = self._framing()
        packed = self.fields.get("content-encoding", "identity").lower()
        if packed in ("gzip", "x-gzip", "deflate"):
            self._unpacker = zlib.decompressobj(47)
        elif packed not in ("", "identity"):
            raise ProtocolError("its response is packed in a way that was not asked for")

    def _framing(self) -> _At:
        """The state after the head, by where the body ends."""
        if self.status in _BODILESS:
            return _At.DONE
        if coding := self.fields.get("transfer-encoding", "").lower():
            if coding != "chunked":
                raise ProtocolError("its response is framed in a way that was not asked for")
            return _At.SIZE
        length = self.fields.get("content-length")
        if length is None:
            self.is_reusable = False
            return _At.OPEN
        if not (length.isascii() and length.isdigit()):
            raise ProtocolError("the length of its response is no number")
        self._left = int(length)
        return _At.LENGTH if self._left else _At.DONE

    def _line(self, line: bytes) -> None:
        if self._at is _At.SIZE:
            size = line.partition(b";")[0].strip()
            try:
                self._left = int(size, 16)
            except ValueError:
                self._left = -1
            if self._left < 0:
                raise ProtocolError("the size of a chunk of its response is no number")
            self._at = _At.CHUNK if self._left else _At.TRAILER
        elif self._at is _At.CHUNK_END:
            if line:
                raise ProtocolError("a chunk of its response is longer than it says")
            self._at = _At.SIZE
        elif not line:
            self._at = _At.DONE

    def _unpacked(self, part: bytes) -> Iterator[bytes]:
        if self._unpacker is None:
            yield part
            return
        try:
            while part:
                yield self._unpacker.decompress(part, _UNPACKED)
                part = self._unpacker.unconsumed_tail
        except zlib.error as error:
            raise ProtocolError("its response is not packed as it says") from error
