"""A process that does nothing but send: each request at its instant, by a socket that is handed over with it.

It is small and alone, so that neither the reading of answers nor another thread is ever in its way. It is started by its file,
without the packages of the environment, and ends when its line does.
"""

from __future__ import annotations

import array
import gc
import heapq
import os
import select
import signal
import socket
import struct
import sys
import time
from collections import deque

ASKED = struct.Struct("<Qq")
"""In front of a request: its number, and its instant (monotonic ns); `TAKEN_BACK` for one that shall not be sent."""

LEFT = struct.Struct("<Qqq")
"""Number, the instant at which it left, and the bytes that the socket took; a negative error number where it took none.
Where the instant is 0 it does not leave from here."""

TAKEN_BACK = -1

LONGEST = 64 << 10
"""Bytes of a request that can be handed over."""


class Sending:
    """The process's work.

    Args:
        line: to whoever asks: a socket of packets.
    """

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._due: list[tuple[int, int]] = []
        self._kept: dict[int, tuple[int, bytes]] = {}
        self._told: deque[bytes] = deque()

    def run(self) -> None:
        """Send until the line ends."""
        self._told.append(LEFT.pack(0, 0, 0))
        while True:
            wait_s = max(0.0, (self._due[0][0] - time.monotonic_ns()) / 1e9) if self._due else None
            readable, _, _ = select.select([self._line], [self._line] if self._told else [], [], wait_s)
            # One is sent once nothing is left to be heard: where this process was held up, it may have been taken back meanwhile.
            if not readable:
                self._send()
            elif not self._take():
                return
            self._tell()

    def _send(self) -> None:
        """Send the request that is due first, if one is, and unless it was taken back."""
        if not self._due or self._due[0][0] > time.monotonic_ns():
            return
        _, number = heapq.heappop(self._due)
        if number not in self._kept:
            return
        out, request = self._kept.pop(number)
        t_ns = time.monotonic_ns()
        try:
            size = os.write(out, request)
        except OSError as error:
            size = -(error.errno or 1)
        os.close(out)
        self._told.append(LEFT.pack(number, t_ns, size))

    def _take(self) -> bool:
        """Take one message. False where the line has ended."""
        room = socket.CMSG_SPACE(array.array("i", [0]).itemsize)
        data, notes, _, _ = self._line.recvmsg(ASKED.size + LONGEST, room)
        if not data:
            return False
        number, due_ns = ASKED.unpack_from(data)
        sockets = array.array("i")
        for level, kind, content in notes:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                sockets.frombytes(content)
        if due_ns == TAKEN_BACK:
            if number in self._kept:
                os.close(self._kept.pop(number)[0])
        elif sockets:
            self._kept[number] = (sockets[0], data[ASKED.size :])
            heapq.heappush(self._due, (due_ns, number))
        else:  # this process may have no more files
            self._told.append(LEFT.pack(number, 0, 0))
        return True

    def _tell(self) -> None:
        try:
            while self._told:
                self._line.send(self._told[0], socket.MSG_DONTWAIT)
                self._told.popleft()
        except BlockingIOError:
            pass  # told later


def main() -> None:
    """Send what comes by the file descriptor that the first argument names."""
    gc.disable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the one who asks
    with socket.socket(fileno=int(sys.argv[1])) as line:
        try:
            Sending(line).run()
        except ConnectionError:
            return


if __name__ == "__main__":
    main()
