"""The backend `remote`: an engine in another process, which is asked by packets over a socket and answers a token a packet.

It is as small as an engine can be, so that what is late is the load generator's.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from pydantic import Field

from bench.load.answers import PACKET
from llem.plugin_api import (
    API_VERSION,
    BackendSpec,
    LoadContext,
    LoadReport,
    MemoryReading,
    Request,
    RequestRecord,
    Section,
    TokenEvent,
    hookimpl,
)
from llem_openai.sender import Sender


class RemoteConfig(Section):
    """Options of the backend `remote`."""

    path: str = Field("packets", description="the socket of the process that answers")


@dataclass(slots=True)
class _Coming:
    """An answer on its way: how many tokens are wanted, when those that are there came (monotonic ns), and the end of it."""

    wanted: int
    whole: asyncio.Future[None]
    times: list[int] = field(default_factory=list)


class RemoteEngine:
    """Hands a request over in one call, stamps each token as it comes, and hands them on when the answer is whole."""

    def load(self, context: LoadContext) -> LoadReport:
        """See `Engine.load`."""
        options = context.config.options
        assert isinstance(options, RemoteConfig)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.connect(options.path)
        self._socket.setblocking(False)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sender: Sender | None = None
        self._asked = 0
        self._waiting: dict[int, _Coming] = {}
        return LoadReport(vocab_size=1000, devices=["cpu"], versions={"remote": "1.0"})

    def batches(self, requests: Sequence[Request]) -> Sequence[Sequence[Request]]:
        """See `Engine.batches`."""
        return [[request] for request in requests]

    def generate(self, batch: Sequence[Request]) -> Sequence[RequestRecord]:
        """Not of this engine: it is asked by `stream`."""
        raise NotImplementedError

    async def stream(self, request: Request) -> AsyncIterator[TokenEvent]:
        """See `Engine.stream`."""
        async for event in self._stream(request):
            yield event

    def prepare_ahead(self) -> bool:
        """Begin the process that sends, the same as the backend `openai` has."""
        self._sender = self._sender or Sender()
        return True

    def stream_at(self, request: Request, due_ns: int, left: Callable[[int], None]) -> AsyncIterator[TokenEvent]:
        """As `stream`, but the request leaves at this instant (monotonic ns); `left` is told when it did."""
        return self._stream(request, due_ns, left)

    async def _stream(
        self, request: Request, due_ns: int | None = None, left: Callable[[int], None] | None = None
    ) -> AsyncIterator[TokenEvent]:
        start_ns = time.monotonic_ns()
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop = loop
            loop.add_reader(self._socket, self._read)
        number, wanted = self._asked, request.output_tokens
        self._asked += 1
        coming = self._waiting[number] = _Coming(wanted, loop.create_future())
        packet = PACKET.pack(number, wanted)
        try:
            if due_ns is None or left is None or self._sender is None:
                await loop.sock_sendall(self._socket, packet)
            else:
                departure = await self._sender.send(self._socket.fileno(), due_ns, packet)
                start_ns = departure.t_ns
                left(start_ns)
            await coming.whole
        finally:
            del self._waiting[number]
        times = coming.times
        for t_ns in times[:-1]:
            yield TokenEvent(1, t_ns)
        record = RequestRecord(
            id=request.id,
            input_tokens=len(request.prompt_token_ids or ()),
            output_tokens=wanted,
            start_ns=start_ns,
            end_ns=times[-1],
            finish="length",
            token_ns=tuple(times),
            output_token_ids=(1,) * wanted,
        )
        yield TokenEvent(1, times[-1], record)

    def _read(self) -> None:
        while True:
            try:
                data = self._socket.recv(64)
            except BlockingIOError:
                return
            if not data:
                raise ConnectionError("the process that answers has ended")
            coming = self._waiting.get(PACKET.unpack(data)[0])
            if coming is not None:
                coming.times.append(time.monotonic_ns())
                if len(coming.times) == coming.wanted and not coming.whole.done():
                    coming.whole.set_result(None)

    def decode(self, token_ids: Sequence[int]) -> str | None:
        """See `Engine.decode`."""
        return None

    def synchronize(self) -> None:
        """See `Engine.synchronize`."""

    def memory(self, *, reset_peak: bool = False) -> MemoryReading:
        """See `Engine.memory`."""
        return MemoryReading(None, None, None)

    def close(self) -> None:
        """See `Engine.close`."""
        self._socket.close()
        if self._sender is not None:
            self._sender.close()


@hookimpl
def llem_backends() -> Sequence[BackendSpec]:
    """Register it."""
    return [
        BackendSpec(
            name="remote",
            api_version=API_VERSION,
            summary="an engine in another process, asked by packets",
            config=RemoteConfig,
            engine="bench.load.remote_engine:RemoteEngine",
            capabilities=frozenset({"cpu", "streaming", "batching", "concurrent"}),
        )
    ]
