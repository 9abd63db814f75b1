"""The kernel's stamps of what has arrived at a socket: they are as exact where this process is busy and reads late.

The kernel stamps each segment. A read of several gives the stamp of the last, and the kernel may join segments that wait unread,
which keeps the last one's stamp alone. So what waits is looked at before it is read, each stamp goes to the bytes that it is of,
and where the kernel has joined, its count of segments says how many have lost theirs.
"""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import time
from dataclasses import dataclass

_STAMPED = 35
"""SO_TIMESTAMPNS of Linux, which Python's socket module does not name."""

_STAMP = struct.Struct("@ll")
_ROOM = socket.CMSG_SPACE(_STAMP.size)
_TOGETHER_NS = 20_000
"""Two clocks that are read within so many nanoseconds are read together."""

_LONGEST_NS = 10_000_000_000
"""A stamp that is older than this, or of the future, says that the wall clock was set."""

LATE_NS = 500_000
"""Bytes that have waited so long were read late. What is joined in less was sent together."""

_INFO_SIZE = 160
_BYTES, _SEGMENTS = struct.Struct("@128xQ"), struct.Struct("@152xI")
"""Places at which `struct tcp_info` has the bytes and the segments with data that were received."""

_LINES = re.compile(rb"\n(?![\r\n])")
"""The end of a line, blank ones behind it included: where a piece of an answer may end."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """Bytes that wait, and arrived together.

    Attributes:
        size: so many.
        t_ns: the arrival of their end (monotonic ns); None where it is not known.
        unstamped: segments among them that were read late and have lost their own stamp.
    """

    size: int
    t_ns: int | None
    unstamped: int = 0


def have_stamped(one: socket.socket) -> None:
    """Ask for stamps. Where the system has none, times are those of reading."""
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, _STAMPED, 1)


class Arrivals:
    """Looks at what waits at one socket, which is read afterwards, and just that.

    Args:
        one: for which stamps were asked.
    """

    def __init__(self, one: socket.socket) -> None:
        self._socket = one
        self._taken, self._counted = self._received() or (0, 0)
        self._stamps = 0

    def read(self, size: int) -> None:
        """Take note that so many bytes were read."""
        self._taken += size

    def look(self, room: memoryview) -> list[Arrived]:
        """Bytes that wait, as far as there is room for them, by their stamps. They go to `room`, which the next look writes over."""
        received = self._received()
        size, last = self._peek(room, 0)
        if not size:
            return []
        # What has come between the two looks is counted the next time; the end of a connection counts as a byte.
        is_exact = received is not None and 0 <= received[0] - self._taken - size <= 1
        segments = received[1] - self._counted - self._stamps if received is not None and is_exact else None
        found: list[tuple[int, int]] = []
        if last is not None:
            found = [(size, last)] if segments == 1 else self._apart(room[:size], last)
        self._stamps += len(found)
        unstamped = 0
        if received is not None and is_exact:
            unstamped = max(0, received[1] - self._counted - self._stamps)
            self._counted, self._stamps = received[1], 0
        if not found or (offset_ns := _clocks_apart_ns()) is None:
            return [Arrived(size, None)]
        now_ns, times = time.monotonic_ns(), [stamp - offset_ns for _, stamp in found]
        if min(times) < now_ns - _LONGEST_NS or max(times) > now_ns:
            return [Arrived(size, None)]
        if now_ns - min(times) < LATE_NS:
            unstamped = 0
        arrived, begin = [], 0
        for (end, _), t_ns in zip(found, times, strict=True):
            # Only bytes that may hold several pieces can have been joined of several segments that matter.
            lost = min(unstamped, max(0, len(_LINES.findall(room[begin:end])) - 1)) if unstamped else 0
            arrived.append(Arrived(end - begin, t_ns, lost))
            unstamped, begin = unstamped - lost, end
        return arrived

    def _apart(self, data: memoryview, last: int) -> list[tuple[int, int]]:
        """Ends of bytes that have one stamp, each with it. Stamps grow: between two that are the same there is no other."""
        ends = [found.end() for found in _LINES.finditer(data)]
        if not ends or ends[-1] != len(data):
            ends.append(len(data))
        stamps: list[int | None] = [None] * len(ends)
        stamps[-1] = last
        asked = [(0, len(ends) - 1)] if len(ends) > 1 else []
        while asked:
            low, high = asked.pop()
            if stamps[low] is None:
                stamps[low] = self._peek(data[: ends[low]], socket.MSG_TRUNC)[1]
            if stamps[low] == stamps[high] or high - low < 2:
                stamps[low:high] = [stamps[low]] + [stamps[high]] * (high - low - 1)
                continue
            middle = (low + high) // 2
            stamps[middle] = self._peek(data[: ends[middle]], socket.MSG_TRUNC)[1]
            asked += [(low, middle), (middle, high)]
        known = [last if stamp is None else stamp for stamp in stamps]
        return [(end, one) for end, one, later in zip(ends, known, [*known[1:], None], strict=True) if one != later]

    def _peek(self, room: memoryview, flags: int) -> tuple[int, int | None]:
        """Number of the waiting bytes that there is room for, and the stamp of its last byte (wall clock, ns)."""
        try:
            size, notes, _, _ = self._socket.recvmsg_into([room], _ROOM, socket.MSG_PEEK | flags)
        except OSError:
            return 0, None
        for level, kind, content in notes:
            if (level, kind) == (socket.SOL_SOCKET, _STAMPED) and len(content) == _STAMP.size:
                seconds, rest_ns = _STAMP.unpack(content)
                return size, seconds * 10**9 + rest_ns
        return size, None

    def _received(self) -> tuple[int, int] | None:
        """Bytes and segments that this socket was ever sent; None where the system does not count them."""
        try:
            info = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_SIZE)
        except OSError:
            return None
        if len(info) < _INFO_SIZE:
            return None
        return _BYTES.unpack_from(info)[0], _SEGMENTS.unpack_from(info)[0]


def _clocks_apart_ns() -> int | None:
    """The wall clock less the monotonic one. The kernel stamps by the wall clock."""
    for _ in range(3):
        before_ns, now_ns, after_ns = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        if after_ns - before_ns < _TOGETHER_NS:
            return now_ns - before_ns
    return None
