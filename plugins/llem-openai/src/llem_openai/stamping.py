"""The kernel's stamp of what has arrived at a socket: it is as exact where this process is busy and reads late."""

from __future__ import annotations

import contextlib
import socket
import struct
import time

_STAMPED = 35
"""SO_TIMESTAMPNS of Linux, which Python's socket module does not name."""

_STAMP = struct.Struct("@ll")
_ROOM = socket.CMSG_SPACE(_STAMP.size)
_TOGETHER_NS = 20_000
"""Two clocks that are read within so many nanoseconds are read together."""

_LONGEST_NS = 10_000_000_000
"""A stamp that is older than this, or of the future, says that the wall clock was set."""


def have_stamped(one: socket.socket) -> None:
    """Ask for stamps. Where the system has none, times are those of reading."""
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, _STAMPED, 1)


def arrival_ns(one: socket.socket) -> int | None:
    """The arrival of the first bytes that wait at a socket (monotonic ns); None where it is not known.

    Bytes that came after them may be stamped by it too: the kernel keeps a stamp for what it keeps together.
    """
    try:
        _, notes, _, _ = one.recvmsg(1, _ROOM, socket.MSG_PEEK)
    except OSError:
        return None
    for level, kind, content in notes:
        if (level, kind) == (socket.SOL_SOCKET, _STAMPED) and len(content) == _STAMP.size:
            seconds, rest_ns = _STAMP.unpack(content)
            return _monotonic_ns(seconds * 10**9 + rest_ns)
    return None


def _monotonic_ns(wall_ns: int) -> int | None:
    """The same instant of the monotonic clock. The kernel stamps by the wall clock."""
    for _ in range(3):
        before_ns, now_ns, after_ns = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        if after_ns - before_ns < _TOGETHER_NS:
            age_ns = now_ns - wall_ns
            return before_ns - age_ns if 0 <= age_ns < _LONGEST_NS else None
    return None
