"""Processes of a server that listen on its port: a command may outlive the server that it started, and only they tell."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection

import psutil

from llem_openai.listening import anybody_listens, listeners
from llem_openai.processes import is_alive, process_of

GONE_S = 2.0
"""A server of which nothing has listened for so long has ended. A worker that makes room for another one may leave a gap."""

_LOOK_S = 0.5
"""Time between two looks at who listens, at the least: they are many in a drain."""


class Listeners:
    """The processes that listen on a port, as they are found once the server answers.

    Nothing is asked of the server, and as long as one of them lives nothing but its state is read. Where they cannot be seen (in a container,
    of another user), whoever listens on the port of this machine stands for them, if anybody does.

    Args:
        processes: all pids of the server.
        port: of TCP.
    """

    def __init__(self, processes: Callable[[], Collection[int]], port: int) -> None:
        self.port = port
        self._processes = processes
        self._known: list[psutil.Process] = []
        self._looked_at, self._since = -math.inf, math.inf
        found = self._find()
        self.are_missing = found is not None and not found
        """It is certain that none of the processes listens."""
        self._by_port = found is None
        self._is_told = anybody_listens(port) if found is None else bool(found)

    def are_gone(self) -> bool:
        """True once none has listened for `GONE_S`."""
        if not self._is_told or any(map(is_alive, self._known)):
            return False
        now = time.monotonic()
        if now - self._looked_at >= _LOOK_S:
            if self._listen():
                self._since = math.inf
            else:
                self._since = min(self._since, now) if math.isfinite(self._since) else now
            self._looked_at = now
        return now - self._since >= GONE_S

    def _listen(self) -> bool:
        if self._by_port:
            return anybody_listens(self.port)
        found = self._find()
        return found is None or bool(found)

    def _find(self) -> Collection[int] | None:
        """The processes that listen, which are kept in mind; None where that cannot be told."""
        alive = [one for pid in self._processes() if (one := process_of(pid)) is not None and is_alive(one)]
        found = listeners([one.pid for one in alive], self.port)
        self._known = [one for one in alive if found and one.pid in found]
        return found


def gone_for(port: int) -> str:
    """The reason, a clause."""
    return f"nothing of it has listened on port {port} for {GONE_S:g} s"
