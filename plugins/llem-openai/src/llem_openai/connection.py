"""One connection to the server: asks, and hands on what arrives with the time of its arrival."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Mapping
from typing import Protocol, cast

from llem.plugin_api import LlemError
from llem_openai.response import ProtocolError, ResponseReader
from llem_openai.stamping import Arrivals, Arrived

LINGER_S = 1.0
"""Seconds for which the end of a response is waited for whose answer is whole; then the connection is closed."""


class Hears(Protocol):
    """Whoever is told of a response. What it raises, as LlemError, ends the response."""

    def begins(self, status: int, fields: Mapping[str, str]) -> None:
        """The head has come."""

    def takes(self, part: bytes, t_ns: int) -> None:
        """A part of the body, and when it arrived (monotonic ns)."""

    def loses(self, t_ns: int, segments: int) -> None:
        """Of what arrived by then, so many segments have lost their own time, since they were read late."""

    def ends(self) -> None:
        """The response is whole."""

    def fails(self, error: Exception) -> None:
        """Nothing more will come."""


_ROOM = bytearray(64 << 10)
"""Room for what arrives, by whichever connection has something. It is taken away at once, so that no buffer is made for each piece."""

_ROOM_VIEW = memoryview(_ROOM)


class Connection(asyncio.BufferedProtocol):
    """A connection of TCP, with TLS or without. It takes one request at a time.

    Args:
        free: called when it can take another request; gone: when it has ended.
        stamped: its socket, where the kernel's stamps on it are to be read.

    Attributes:
        was_used: it has answered before.
        is_silent: of the response that is waited for nothing has come.
    """

    def __init__(
        self,
        free: Callable[[Connection], None],
        gone: Callable[[Connection], None],
        stamped: socket.socket | None = None,
    ) -> None:
        self._free, self._gone = free, gone
        self._arrivals = Arrivals(stamped) if stamped is not None else None
        self._waits: list[Arrived] = []
        self._last_ns = 0
        self._transport: asyncio.Transport | None = None
        self._hears: Hears | None = None
        self._reader: ResponseReader | None = None
        self._linger: asyncio.TimerHandle | None = None
        self.was_used = False
        self.is_silent = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.BufferedProtocol`."""
        self._transport = cast("asyncio.Transport", transport)

    def ask(self, request: bytes, hears: Hears) -> None:
        """Send a request, head and body."""
        self.expect(hears)
        self.add(request)

    def expect(self, hears: Hears) -> None:
        """Wait for the response to a request that is sent by another hand."""
        self._hears, self._reader, self.is_silent = hears, ResponseReader(), True

    def add(self, data: bytes) -> None:
        """Send more of a request."""
        assert self._transport is not None
        self._transport.write(data)

    def fileno(self) -> int:
        """File descriptor of its socket."""
        assert self._transport is not None
        number: int = self._transport.get_extra_info("socket").fileno()
        return number

    def leave(self, hears: Hears) -> None:
        """Whoever is told has all that it wants: the connection is free again if the response ends soon, else closed."""
        if self._hears is hears:
            self._hears = None
            self._linger = asyncio.get_running_loop().call_later(LINGER_S, self.close)

    def drop(self, hears: Hears) -> None:
        """End it, if a response is still on its way to whoever that is: what comes of it is wanted no more."""
        if self._hears is hears:
            self._hears = None
            self.close()

    def close(self) -> None:
        """End it at once."""
        if self._transport is not None:
            self._transport.abort()

    def get_buffer(self, sizehint: int) -> memoryview:
        """See `asyncio.BufferedProtocol`."""
        self._waits = self._arrivals.look(_ROOM_VIEW) if self._arrivals is not None else []
        size = sum(one.size for one in self._waits)
        return _ROOM_VIEW[:size] if size else _ROOM_VIEW

    def buffer_updated(self, size: int) -> None:
        """See `asyncio.BufferedProtocol`."""
        read_ns, waits, self._waits = time.monotonic_ns(), self._waits or [Arrived(size, None)], []
        if self._arrivals is not None:
            self._arrivals.read(size)
        data, begin = bytes(_ROOM_VIEW[:size]), 0
        for one in waits:
            # Two clocks that are read one after the other are off by some microseconds.
            t_ns = self._last_ns = max(self._last_ns, read_ns if one.t_ns is None else one.t_ns)
            if one.unstamped and self._hears is not None and self._reader is not None:
                self._hears.loses(t_ns, one.unstamped - (self._reader.status == 0))  # the head is a segment mostly
            self._take(data[begin : begin + one.size] if len(waits) > 1 else data, t_ns)
            begin += one.size

    def _take(self, data: bytes, t_ns: int) -> None:
        reader = self._reader
        if reader is None:
            self.close()  # a word that nobody asked for
            return
        self.is_silent = False
        began = reader.status != 0
        try:
            if began and (only := reader.only_chunk(data)) is not None:
                if self._hears is not None:
                    self._hears.takes(only, t_ns)
                return
            for part in reader.feed(data):
                if not began:
                    began = self._begin(reader)
                if self._hears is not None:
                    self._hears.takes(part, t_ns)
            if reader.status and not began:
                self._begin(reader)
        except (ProtocolError, LlemError) as error:
            self._fail(error)
            return
        if reader.is_complete:
            self._complete(reader)

    def eof_received(self) -> bool:
        """See `asyncio.BufferedProtocol`."""
        if self._reader is not None:
            try:
                self._reader.end()
            except ProtocolError as error:
                self._fail(error)
            else:
                self._complete(self._reader)
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """See `asyncio.BufferedProtocol`."""
        self._fail(error or ProtocolError("the connection was closed"))
        self._gone(self)

    def _begin(self, reader: ResponseReader) -> bool:
        if self._hears is not None:
            self._hears.begins(reader.status, reader.fields)
        return True

    def _complete(self, reader: ResponseReader) -> None:
        hears, self._hears, self._reader, self.was_used = self._hears, None, None, True
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        if hears is not None:
            hears.ends()
        assert self._transport is not None
        if reader.is_reusable and not self._transport.is_closing():
            self._free(self)
        else:
            self.close()

    def _fail(self, error: Exception) -> None:
        hears, self._hears, self._reader = self._hears, None, None
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        self.close()
        if hears is not None:
            hears.fails(error)
