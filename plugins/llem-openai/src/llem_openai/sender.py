"""The sender: requests are handed to it ahead of time, and leave at their instant from a process of its own."""

from __future__ import annotations

import asyncio
import errno
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from llem.plugin_api import LlemError
from llem_openai import sender_process
from llem_openai.processes import ending_of
from llem_openai.sender_process import ASKED, LEFT, LONGEST, TAKEN_BACK

START_S = 10.0
"""The process has so long to begin."""

CLOSE_S = 2.0
"""And so long to end."""


@dataclass(frozen=True, slots=True)
class Left:
    """The end of a request's wait.

    Attributes:
        t_ns: when it left (monotonic ns); 0 where the sender gives it back, and it does not leave by that.
        size: bytes of it that the socket took; a negative error number where it took none.
    """

    t_ns: int
    size: int


@dataclass(frozen=True, slots=True)
class Departure:
    """The instant at which a request is to leave.

    Attributes:
        sender: by which; due_ns: when (monotonic ns); left: is told when it did.
    """

    sender: Sender
    due_ns: int
    left: Callable[[int], None]


class SenderDiedError(LlemError):
    """The process that sends ended with a request that it had not yet told of.

    Args:
        ending: how it ended, in words.
    """

    def __init__(self, ending: str) -> None:
        super().__init__(
            f"the process that sends requests died, {ending}, before it said whether this one had left: it is not sent again.",
            where="llem-openai",
            remedy="See who ended it (the kernel's log tells where memory was short), and run this again.",
        )


class Sender:
    """A process of `sender_process`, asked from one event loop.

    Attributes:
        ending: how the process ended by itself, in words; None while it runs.

    Raises:
        OSError: it does not begin.
    """

    def __init__(self) -> None:
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-I", "-S", str(Path(sender_process.__file__)), str(theirs.fileno())]
            try:
                self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
            except OSError:
                self._line.close()
                raise
        self.ending: str | None = None
        self._asked = 0
        self._waiting: dict[int, asyncio.Future[Left]] = {}
        self._unsaid: deque[int] = deque()
        self._awaits_room = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._line.settimeout(START_S)
        try:
            if not self._line.recv(LEFT.size):
                raise OSError(errno.EPIPE, "the process that sends ended as it began")
        except OSError:
            self.close()
            raise
        self._line.setblocking(False)

    def send(self, out: int, due_ns: int, request: bytes) -> asyncio.Future[Left]:
        """Have a request leave at an instant. Cancelled, it is taken back, if it has not left.

        Args:
            out: file descriptor of the socket by which it leaves, one that does not block.
            due_ns: the instant (monotonic ns); one that has passed is now.
            request: at most `LONGEST` bytes.

        Raises:
            OSError: it cannot be handed over.
        """
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop = loop
            loop.add_reader(self._line, self._hear)
        if len(request) > LONGEST:
            raise OSError(errno.EMSGSIZE, "a request that long is not handed over")
        if self.ending is not None:
            raise OSError(errno.EPIPE, "the process that sends has ended")
        self._asked += 1
        socket.send_fds(self._line, [ASKED.pack(self._asked, due_ns), request], [out])
        waiting = self._waiting[self._asked] = loop.create_future()
        waiting.add_done_callback(partial(self._over, self._asked))
        return waiting

    def close(self) -> None:
        """End the process. Harmless when repeated."""
        self._stop_awaiting_room()
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._line)
        self._loop = None
        self._line.close()
        self._wait()

    def _hear(self) -> None:
        while True:
            try:
                data = self._line.recv(LEFT.size)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._gone()
                return
            number, t_ns, size = LEFT.unpack(data)
            waiting = self._waiting.get(number)
            if waiting is not None and not waiting.done():
                waiting.set_result(Left(t_ns, size))

    def _gone(self) -> None:
        """The process has ended: of what it had nobody knows whether it left."""
        if self._loop is not None:
            self._loop.remove_reader(self._line)
        self._stop_awaiting_room()
        self.ending = self._wait()
        for waiting in list(self._waiting.values()):
            if not waiting.done():
                waiting.set_exception(SenderDiedError(self.ending))

    def _wait(self) -> str:
        """Wait for the end of the process, which has let go of its line. Returns how it ended, in words."""
        try:
            return ending_of(self._process.wait(CLOSE_S))
        except subprocess.TimeoutExpired:
            self._process.kill()
            return ending_of(self._process.wait())

    def _over(self, number: int, waiting: asyncio.Future[Left]) -> None:
        self._waiting.pop(number, None)
        if waiting.cancelled():
            self._unsaid.append(number)
            self._take_back()

    def _take_back(self) -> None:
        """Say which requests are taken back, as far as the line has room: the rest once it has, where the process is held up."""
        try:
            while self._unsaid:
                self._line.send(ASKED.pack(self._unsaid[0], TAKEN_BACK))
                self._unsaid.popleft()
        except BlockingIOError:
            if self._loop is not None and not self._loop.is_closed():
                self._awaits_room = True
                self._loop.add_writer(self._line, self._take_back)
            return
        except OSError:
            self._unsaid.clear()  # the process has ended, and sends nothing
        self._stop_awaiting_room()

    def _stop_awaiting_room(self) -> None:
        if self._awaits_room and self._loop is not None and not self._loop.is_closed():
            self._loop.remove_writer(self._line)
        self._awaits_room = False
