"""The scenario `single_stream`: one request at a time, token by token."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from llem.scenarios.closed_loop import ClosedLoop
from llem.specs.backend import Engine, Request, RequestRecord
from llem.specs.scenario import Answer


class SingleStream(ClosedLoop):
    """Asks by `stream`, for batches of one request."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        # One event loop for the life of the engine: an asynchronous engine ties itself to the loop it first ran in. It is made
        # here, and not with the first request, which may be the window's.
        self._loop = asyncio.Runner()
        self._loop.get_loop()

    def group(self, requests: Sequence[Request]) -> Sequence[Sequence[Request]]:
        """A batch for each request."""
        return [[request] for request in requests]

    def answer(self, batch: Sequence[Request], pass_number: int = 1, batch_number: int = 1) -> Answer:
        """Release one request and wait for its last token."""
        return self._loop.run(self._stream(batch, pass_number, batch_number))

    async def _stream(self, batch: Sequence[Request], pass_number: int, batch_number: int) -> Answer:
        (request,) = batch
        times: list[int] = []
        records: list[RequestRecord] = []
        record_at: int | None = None
        released = time.monotonic_ns()
        async for event in self._engine.stream(request):
            times.append(event.t_ns)
            if event.record is not None:
                records.append(event.record)
                record_at = len(times)
        returned = time.monotonic_ns()
        return Answer(pass_number, batch_number, released, returned, batch, records, times, record_at)

    def close(self) -> None:
        """End the event loop."""
        self._loop.close()
