"""The hearing of one answer: from the first byte of its response to its end, an error of it, or silence."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any

from llem.plugin_api import LlemError, ModelError
from llem_openai.access import NOT_TAKEN, REDIRECTS, Access, unreachable
from llem_openai.chunk import read_chunk, told_error
from llem_openai.connection import Connection
from llem_openai.refusal import BODY_LIMIT, printable
from llem_openai.sender import Departure, Left
from llem_openai.stream import DocumentReader, answer_limit
from llem_openai.streamed_answer import StreamedAnswer

TOLD_S = 1.0
"""The sender has so long to tell when a request left whose answer is whole."""


class RefusedError(LlemError):
    """The server answers that it will not.

    Args:
        way: to the server; status: of HTTP; text: what it said; fields: of the request.
    """

    def __init__(self, way: Access, status: int, text: str, fields: Mapping[str, Any]) -> None:
        told = way.refused(status, text, fields)
        super().__init__(told.what, where=told.where, remedy=told.remedy)
        self.status = status


class LostError(Exception):
    """A connection that was kept for the next request had ended before that reached the server."""


class Hearing:
    """Hears one answer. Everything in it happens in the loop of the connection, at once with each arrival.

    What arrives is stamped then. What it says is read once the answer is whole, except for an error or the end: requests that are due
    do not wait until pieces of others are understood.

    Args:
        way: to the server.
        answer: is filled.
        fields: of the request, for messages.
    """

    def __init__(self, way: Access, answer: StreamedAnswer, fields: Mapping[str, Any]) -> None:
        self._way, self._answer, self._fields = way, answer, fields
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._documents: DocumentReader | None = None
        self._unread: list[tuple[bytes | Mapping[str, Any], int]] = []
        self._refusal = b""
        self._status = 0
        self._connection: Connection | None = None
        self._left: asyncio.Future[Left] | None = None
        self._heard_at = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None

    async def hear(self, connection: Connection, request: bytes, departure: Departure | None = None) -> None:
        """Send the request, at once or at an instant, and wait until the answer is whole.

        Raises:
            LlemError: the server refuses, breaks off, is silent for too long, or sends what is no answer.
            LostError: ask once more, by another connection.
        """
        begin_s = self._loop.time()
        self._connection = connection
        self._heard_at = begin_s if departure is None else max(begin_s, departure.due_ns / 1e9)
        self._look()
        left: asyncio.Future[Left] | None = None
        if departure is None:
            connection.ask(request, self)
        else:
            left = self._left = self._depart(connection, request, departure)
        try:
            await self._over
            self._read()
            if left is not None and departure is not None:
                await self._until_told(left, departure)
        except (LlemError, asyncio.CancelledError):
            self._is_read()  # what came until then was given out
            raise
        finally:
            connection.drop(self)
            if left is not None:
                left.cancel()
            assert self._timer is not None
            self._timer.cancel()

    def _depart(self, connection: Connection, request: bytes, departure: Departure) -> asyncio.Future[Left] | None:
        """Hand the request to the sender; where that cannot take it, send it from here then. Returns what tells that it has left."""
        connection.expect(self)
        try:
            left = departure.sender.send(connection.fileno(), departure.due_ns, request)
        except OSError:
            self._send_when_due(connection, request, departure)
            return None

        def has_left(one: asyncio.Future[Left]) -> None:
            if one.cancelled():
                return
            if (error := one.exception()) is not None:
                if self._answer.chunks or not connection.is_silent:  # it left, and the sender ended before it told when
                    self._starts(departure, departure.due_ns)
                else:  # it may have left: it is never sent again
                    self._end(error if isinstance(error, LlemError) else LlemError(str(error)))
            elif not (found := one.result()).t_ns:
                self._send_when_due(connection, request, departure)
            elif found.size < 0:
                connection.close()
            else:
                self._starts(departure, found.t_ns)
                if found.size < len(request):
                    connection.add(request[found.size :])

        left.add_done_callback(has_left)
        return left

    async def _until_told(self, left: asyncio.Future[Left], departure: Departure) -> None:
        """Wait until it is told when the request left that is answered by now. A sender that is held up is not waited for."""
        _, held_up = await asyncio.wait([left], timeout=TOLD_S)
        if held_up:
            self._starts(departure, departure.due_ns)

    def _send_when_due(self, connection: Connection, request: bytes, departure: Departure) -> None:
        def send() -> None:
            if not self._over.done():
                self._starts(departure, time.monotonic_ns())
                connection.add(request)

        self._loop.call_at(departure.due_ns / 1e9, send)

    def _starts(self, departure: Departure, t_ns: int) -> None:
        self._answer.start_ns = t_ns
        departure.left(t_ns)

    def begins(self, status: int, fields: Mapping[str, str]) -> None:
        """See `Hears.begins`."""
        self._status = status
        if status in REDIRECTS:
            raise self._way.elsewhere(status, fields.get("location", ""))
        if status == 200:
            limit = answer_limit(self._answer.request.output_tokens)
            self._documents = DocumentReader(fields.get("content-type", ""), limit, self._way.options.base_url)

    def takes(self, part: bytes, t_ns: int) -> None:
        """See `Hears.takes`."""
        if self._documents is None:
            self._refusal += part
            if len(self._refusal) >= BODY_LIMIT:
                raise self._refused()
            return
        if (text := self._documents.put_aside(part, t_ns)) is not None:
            self._heard_at = self._loop.time()
            self._unread.append((text, t_ns))
            return
        for document, at_ns in self._documents.feed(part, t_ns):
            if self._hear(document, at_ns):
                return

    def loses(self, t_ns: int, segments: int) -> None:
        """See `Hears.loses`."""
        self._answer.lost[t_ns] += segments

    def ends(self) -> None:
        """See `Hears.ends`."""
        try:
            if self._documents is None:
                raise self._refused()
            for document, t_ns in self._documents.close():
                if self._hear(document, t_ns):
                    return
            self._read()
            if not self._answer.ended:
                raise self._broken(None)
        except LlemError as error:
            self._end(error)
        else:
            self._end()

    def fails(self, error: Exception) -> None:
        """See `Hears.fails`."""
        assert self._connection is not None
        if isinstance(error, LlemError):
            self._end(error)
        elif self._connection.was_used and self._connection.is_silent:
            self._end(LostError())
        elif not self._is_read():
            return
        elif self._answer.ended:
            self._end()
        else:
            self._end(self._broken(error) if self._answer.chunks else unreachable(self._way.options, error))

    def _hear(self, document: Mapping[str, Any] | None, t_ns: int) -> bool:
        """Take one object. True where nothing of the answer comes any more."""
        self._heard_at = self._loop.time()
        if document is None:
            self._answer.closed, self._answer.closed_ns = True, t_ns
            assert self._connection is not None
            self._connection.leave(self)
            self._end()
            return True
        if told_error(document):
            self._read()
            raise self._reported(document)
        self._unread.append((document, t_ns))
        return False

    def _read(self) -> None:
        """Read what has come so far. Raises LlemError where it is no answer."""
        unread, self._unread = self._unread, []
        for one, t_ns in unread:
            assert self._documents is not None
            document = self._documents.read(one) if isinstance(one, bytes) else one
            self._answer.chunks.append(read_chunk(document, t_ns))

    def _is_read(self) -> bool:
        """Read what has come so far. False where it is no answer: that ends it."""
        try:
            self._read()
        except LlemError as error:
            self._end(error)
            return False
        return True

    def _end(self, error: Exception | None = None) -> None:
        if self._over.done():
            return
        if error is None:
            self._over.set_result(None)
        else:
            self._over.set_exception(error)

    def _look(self) -> None:
        """End it where the server was silent for too long; else look again when it may be."""
        due = self._heard_at + self._way.options.timeout_s
        if self._loop.time() < due:
            self._timer = self._loop.call_at(due, self._look)
        elif self._is_read():
            self._end(None if self._answer.ended else self._silent())  # `hear` drops the connection

    def _refused(self) -> LlemError:
        text = self._refusal[:BODY_LIMIT].decode(errors="replace")
        return RefusedError(self._way, self._status, text, self._fields)

    def _reported(self, document: Mapping[str, Any]) -> LlemError:
        """An error that came inside of the stream; before any text it may be about a field, as one by status is."""
        text = json.dumps(document)
        error = document.get("error")
        code = error.get("code") if isinstance(error, dict) else document.get("code")
        if code in NOT_TAKEN and not self._answer.pieces:
            return RefusedError(self._way, int(code), text, self._fields)
        return LlemError(
            f"the server reports an error in the answer, after {self._answer.pieces} pieces: {self._way.said(text)}",
            where=self._way.options.base_url,
            remedy="Look at the server's log.",
        )

    def _silent(self) -> ModelError:
        options = self._way.options
        if self._left is not None and not self._left.done() and not self._answer.chunks:
            return ModelError(
                f"the process that sends requests has not said for {options.timeout_s:g} s that this one left: it is held up.",
                where="llem-openai",
                remedy="See what stops it (SIGSTOP, a machine without memory), and run this again.",
            )
        return ModelError(
            f"the server does not answer: nothing of it came for {options.timeout_s:g} s, after {self._answer.pieces} pieces.",
            where=options.base_url,
            remedy="Look at its log, or raise openai.timeout_s where it is only slow.",
        )

    def _broken(self, error: Exception | None) -> LlemError:
        how = f" ({printable(str(error) or type(error).__name__, 120).rstrip('.')})" if error is not None else ""
        return LlemError(
            f"the connection ended in the middle of an answer, after {self._answer.pieces} pieces and without a "
            f"finish_reason{how}.",
            where=self._way.options.base_url,
            remedy="Look at the server's log, and at whatever stands between it and llem; it may have run out of memory.",
        )
