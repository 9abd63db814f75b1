"""The conversation with the server: many requests at once, each answer read to its end in the loop that asked."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

from llem.plugin_api import ModelError, Request
from llem_openai.access import NETWORK_ERRORS, NOT_TAKEN, Access, unreachable
from llem_openai.asking import COUNTS, body
from llem_openai.connections import Connections
from llem_openai.hearing import Hearing, LostError, RefusedError
from llem_openai.sender import Departure, Sender
from llem_openai.streamed_answer import StreamedAnswer

T = TypeVar("T")


class Exchange:
    """Asks the server. Made in `load`, closed once.

    Args:
        access: the way to the server.
        model: its name there.
        fields: of every request: how the next token is chosen, and what the study adds.

    Attributes:
        sender_fault: why the process that sends did not begin, in words; None where it did, or was not asked for.
    """

    def __init__(self, access: Access, model: str, fields: Mapping[str, Any]) -> None:
        self._access, self._model, self._fields = access, model, dict(fields)
        self._counting = COUNTS[0]
        self._address = access.address
        # Compression holds pieces back until a block is full.
        self._headers = {
            **access.headers,
            "Accept": "text/event-stream, application/json",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
        }
        self._heads: dict[str, bytes] = {}
        self._runner = asyncio.Runner()
        self._connections: dict[asyncio.AbstractEventLoop, Connections] = {}
        self._sender: Sender | None = None
        self.sender_fault: str | None = None

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something in a loop of the exchange's own, to its end."""
        return self._runner.run(work)

    def probe(self, request: Request) -> StreamedAnswer:
        """Ask something small, and settle which counts this server can be asked for.

        Raises:
            ModelError: it takes no request at all.
        """
        first: RefusedError | None = None
        for self._counting in COUNTS:
            try:
                return self.wait(self.ask(request))
            except RefusedError as error:
                first = error if error.status in NOT_TAKEN and first is None else first
                if error.status not in NOT_TAKEN:
                    raise ModelError(error.what, where=error.where, remedy=error.remedy) from error
                last = error
        raise ModelError(last.what, where=last.where, remedy=last.remedy) from first

    def prepare_ahead(self) -> bool:
        """Begin what `hear` with a departure takes. False where it cannot be: an encrypted connection has one hand only, and a
        sender may not begin (`sender_fault`)."""
        if self._access.address.is_encrypted:
            return False
        if self._sender is None:
            try:
                self._sender = Sender()
            except OSError as error:
                self.sender_fault = error.strerror or str(error) or type(error).__name__
                return False
        return True

    def departure(self, due_ns: int, left: Callable[[int], None]) -> Departure:
        """An instant for `hear`, once `prepare_ahead` has said yes."""
        assert self._sender is not None
        return Departure(self._sender, due_ns, left)

    @property
    def sender_ending(self) -> str | None:
        """The way in which the sender has ended by itself; None where it has not."""
        return self._sender.ending if self._sender is not None else None

    async def ask(self, request: Request) -> StreamedAnswer:
        """One request, asked now, to the end of its stream. Raises LlemError as `hear`."""
        answer = StreamedAnswer(request, time.monotonic_ns())
        await self.hear(answer)
        return answer

    async def hear(self, answer: StreamedAnswer, departure: Departure | None = None) -> None:
        """Ask one request, and take its answer in to the end of its stream.

        Args:
            answer: of the request; it holds what came, also where this raises or is cancelled.
            departure: when it is to leave; None: now.

        Raises:
            LlemError: the server refuses, breaks off, is silent for too long, or sends what is no answer; or this process
                can open no more connections.
        """
        path, fields = body(
            answer.request, self._model, self._counting, self._fields, self._access.options.request_fields
        )
        data = json.dumps(fields).encode()
        request_bytes = b"%sContent-Length: %d\r\n\r\n%s" % (self._head(path), len(data), data)
        connections = self._connections_here()
        answer.start_ns = time.monotonic_ns() if departure is None else departure.due_ns
        for fresh in (False, True):
            try:
                connection = await connections.take(fresh=fresh)
            except NETWORK_ERRORS as error:
                raise unreachable(self._access.options, error) from error
            if fresh and departure is not None:  # it leaves from here, and not before there is a connection for it
                await asyncio.sleep(max(0, departure.due_ns - time.monotonic_ns()) / 1e9)
                answer.start_ns = time.monotonic_ns()
                departure.left(answer.start_ns)
                departure = None
            try:
                await Hearing(self._access, answer, fields).hear(connection, request_bytes, departure)
            except LostError:
                continue  # it had ended just as it was used again, which says nothing about the server
            break

    def _head(self, path: str) -> bytes:
        head = self._heads.get(path)
        if head is None:
            head = self._heads[path] = self._address.head("POST", path, self._headers)
        return head

    def _connections_here(self) -> Connections:
        """Connections belong to the loop that they were opened in; a scenario asks from its own, in which nothing crosses threads."""
        loop = asyncio.get_running_loop()
        found = self._connections.get(loop)
        if found is None:
            self._connections = {one: pool for one, pool in self._connections.items() if not one.is_closed()}
            found = self._connections[loop] = Connections(self._address, self._access.options.connect_timeout_s)
        return found

    async def ask_all(self, requests: list[Request], at_once: int) -> list[StreamedAnswer]:
        """Several, so many at once, in their order. The first that fails ends the others."""
        places = asyncio.Semaphore(at_once)

        async def one(request: Request) -> StreamedAnswer:
            async with places:
                return await self.ask(request)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(request)) for request in requests]
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return [task.result() for task in tasks]

    def close(self) -> None:
        """End the connections of the exchange's own loop; those of another one end with that."""
        try:
            self._runner.close()
        finally:
            if self._sender is not None:
                self._sender.close()
