"""Connections to the server of one event loop: kept for the next request, and no more than this process may open."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import resource
import socket
import ssl
from pathlib import Path
from typing import Any

from llem.plugin_api import LlemError
from llem_openai.address import Address
from llem_openai.connection import Connection
from llem_openai.stamping import have_stamped

_RESERVE = 64
"""Open files that are left to everything else in the process: meters, results, logs."""

_TURNS = 100

_NO_MORE = frozenset({errno.EMFILE, errno.ENFILE})


class Connections:
    """A pool, of the loop that it is first used in. It closes itself with that loop's tasks.

    Args:
        address: of the server.
        connect_s: as long may a connection take (seconds).
    """

    def __init__(self, address: Address, connect_s: float) -> None:
        self._address, self._connect_s = address, connect_s
        self._tls = ssl.create_default_context() if address.is_encrypted else None
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._opening = 0
        self._found: list[tuple[Any, ...]] = []
        self._most = most_connections()
        self._keeper = asyncio.get_running_loop().create_task(self._keep(), name="llem-openai-connections")

    async def take(self, *, fresh: bool = False) -> Connection:
        """A connection that waits for a request: one that was used already, the last one first, or a new one.

        Args:
            fresh: it shall be a new one.

        Raises:
            LlemError: this process may not open another.
            OSError: nobody answers, or not in time; TimeoutError among them.
        """
        while self._idle and not fresh:
            connection = self._idle.pop()
            if connection in self._open:
                return connection
        if len(self._open) + self._opening >= self._most:
            raise self._too_many()
        self._opening += 1
        try:
            async with asyncio.timeout(self._connect_s):
                connection = await self._connected()
        except OSError as error:
            if error.errno in _NO_MORE:
                raise self._too_many() from error
            raise
        finally:
            self._opening -= 1
        self._open.add(connection)
        return connection

    async def _connected(self) -> Connection:
        loop, encrypted = asyncio.get_running_loop(), self._tls is not None
        one = await self._socket()
        # Of an encrypted connection one arrival may hold several records, or none that is whole.
        stamped = None if encrypted else one
        try:
            _, connection = await loop.create_connection(
                lambda: Connection(self._idle.append, self._open.discard, stamped),
                sock=one,
                ssl=self._tls,
                server_hostname=self._address.host if encrypted else None,
            )
        except BaseException:
            one.close()
            raise
        return connection

    async def _socket(self) -> socket.socket:
        """A socket that is connected to the first of the server's addresses that answers."""
        loop = asyncio.get_running_loop()
        if not self._found:
            self._found = await loop.getaddrinfo(self._address.host, self._address.port, type=socket.SOCK_STREAM)
        refused: OSError | None = None
        for family, kind, protocol, _, address in self._found:
            one = socket.socket(family, kind, protocol)
            try:
                one.setblocking(False)
                have_stamped(one)
                await loop.sock_connect(one, address)
            except OSError as error:
                one.close()
                refused = error
            except BaseException:
                one.close()
                raise
            else:
                return one
        self._found = []  # asked anew next time
        raise refused if refused is not None else OSError(errno.EADDRNOTAVAIL, "its name has no address")

    def _too_many(self) -> LlemError:
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return LlemError(
            f"more requests are under way than there can be connections: {len(self._open):,} are open, and this process may "
            f"open {soft:,} files.",
            where=self._address.authority,
            remedy="Bound the load (load.max_in_flight, openai.concurrency), or raise the limit (ulimit -n).",
        )

    async def _keep(self) -> None:
        """Sleep until the loop ends its tasks, then close what is open: a loop that is closed can do that no more."""
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            for connection in list(self._open):
                connection.close()
            for _ in range(_TURNS):  # each is told its end in a later turn of the loop
                if not self._open:
                    break
                await asyncio.sleep(0)


def most_connections() -> int:
    """The most connections that this process can have at once, by the files that it may open. Raises its limit as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    if soft == resource.RLIM_INFINITY:
        return 1 << 30
    try:
        taken = sum(1 for _ in Path("/proc/self/fd").iterdir())
    except OSError:
        taken = 0
    return max(1, soft - taken - _RESERVE)
