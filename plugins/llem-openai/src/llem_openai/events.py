"""Server-sent events out of bytes as they arrive, each line stamped with the arrival of its end.

Lines end as the wire format says: CR, LF or CRLF, and nothing else. Unicode has further line ends (U+2028, U+2029, U+0085),
which a server may leave unescaped inside a JSON string.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

LINE_LIMIT = 8 << 20
"""Bytes of a line, and of an event. A whole answer in one event, with log probabilities, is smaller."""

_BOM = b"\xef\xbb\xbf"
_BEGIN = 120
DATA = b"data: "


@dataclass(frozen=True, slots=True)
class Event:
    """One event.

    Attributes:
        lines: its `data` lines, each with the time at which its end arrived.
        name: its type: `message` where the server gives none.
        whole: False for what the stream ended in the middle of.
    """

    lines: Sequence[tuple[bytes, int]]
    name: str = "message"
    whole: bool = True


class TooLongError(ValueError):
    """A line or an event beyond `LINE_LIMIT`."""


class EventReader:
    """Takes bytes, gives events.

    Attributes:
        begin: the first bytes of the stream, for messages about what is no stream of events.
    """

    def __init__(self) -> None:
        self.begin = b""
        self._part: list[bytes] = []
        self._part_size = 0
        self._after_cr = False
        self._first = True
        self._lines: list[tuple[bytes, int]] = []
        self._size = 0
        self._name = ""
        self._t_ns = 0

    def feed(self, data: bytes, t_ns: int) -> Iterator[Event]:
        """Events that end in these bytes.

        Raises:
            TooLongError: a line goes on for too long.
        """
        if not data:
            return
        self._t_ns = t_ns
        if len(self.begin) < _BEGIN:
            self.begin = (self.begin + data[:_BEGIN])[:_BEGIN]
        elif self.is_between and is_one_event(data):
            yield Event(((data[len(DATA) : -2], t_ns),))
            return
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
            self._after_cr = False
            if not data:
                return
        self._after_cr = data.endswith(b"\r")
        *ended, rest = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for place, line in enumerate(ended):
            if place == 0 and self._part:
                line = b"".join([*self._part, line])
                self._part, self._part_size = [], 0
            yield from self._line(line, t_ns)
        if rest:
            self._part.append(rest)
            self._part_size += len(rest)
        if self._part_size > LINE_LIMIT:
            raise TooLongError

    @property
    def is_between(self) -> bool:
        """The stream has begun, and nothing of a next event has come."""
        return not (self._part or self._lines or self._name or self._after_cr or self._first)

    def close(self) -> Iterator[Event]:
        """Remainder when the stream has ended: servers forget the last line end, or the blank line after it."""
        if self._part:
            line, self._part = b"".join(self._part), []
            yield from self._line(line, self._t_ns)
            yield from self._end(whole=False)
        yield from self._end()

    def _line(self, line: bytes, t_ns: int) -> Iterator[Event]:
        if self._first:
            self._first = False
            line = line.removeprefix(_BOM)
        if not line:
            yield from self._end()
            return
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._lines.append((value, t_ns))
            self._size += len(value)
            if self._size > LINE_LIMIT:
                raise TooLongError
        elif name == b"event":
            self._name = value[:64].decode(errors="replace").strip()

    def _end(self, *, whole: bool = True) -> Iterator[Event]:
        lines, name = self._lines, self._name
        self._lines, self._name, self._size = [], "", 0
        if lines:
            yield Event(tuple(lines), name or "message", whole)


def is_one_event(data: bytes) -> bool:
    """True for one event of one line, whole, as nearly all arrive; it goes the short way."""
    return (
        data.startswith(DATA)
        and data.find(b"\n") == len(data) - 2
        and data.endswith(b"\n")
        and b"\r" not in data
        and len(data) < LINE_LIMIT
    )
