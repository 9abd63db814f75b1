"""The closed-loop load generator: it releases a batch when the one before has been answered, and writes down what came.

Nothing here computes a figure or writes a file; inside the measured window there is only the engine's work.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from llem.specs.backend import Engine, Request, RequestRecord


@dataclass(frozen=True, slots=True)
class Answer:
    """One batch with what the engine answered.

    Attributes:
        pass_number: which repetition of the workload, from 1; batch_number: place in it, from 1.
        released_ns: when the load generator released it: the arrival of its requests.
        returned_ns: when the last answer was there.
        requests: what was asked.
        records: what the engine reported.
        stream_ns: of a streamed request, the time of each event in order; None where nothing was streamed.
        record_at: of a streamed request, the place of the event with the record, from 1.
    """

    pass_number: int
    batch_number: int
    released_ns: int
    returned_ns: int
    requests: Sequence[Request]
    records: Sequence[RequestRecord]
    stream_ns: Sequence[int] | None = None
    record_at: int | None = None


class LoadGenerator:
    """Puts batches to an engine, one after another, from one thread.

    Args:
        engine: a loaded engine.
        scenario: `offline` asks by `generate`; `single_stream` asks by `stream`, for batches of one request.
    """

    def __init__(self, engine: Engine, scenario: Literal["offline", "single_stream"]) -> None:
        self._engine = engine
        # One event loop for the life of the engine: an asynchronous engine ties itself to the loop it first ran in.
        self._loop = asyncio.Runner() if scenario == "single_stream" else None

    def group(self, requests: Sequence[Request]) -> Sequence[Sequence[Request]]:
        """The batches of the workload: the engine's own, or one request each where they are streamed."""
        if self._loop is not None:
            return [[request] for request in requests]
        return self._engine.batches(requests)

    def answer(self, batch: Sequence[Request], pass_number: int = 1, batch_number: int = 1) -> Answer:
        """Release one batch and wait for it."""
        if self._loop is not None:
            return self._loop.run(self._stream(batch, pass_number, batch_number))
        released = time.monotonic_ns()
        records = self._engine.generate(batch)
        return Answer(pass_number, batch_number, released, time.monotonic_ns(), batch, records)

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

    def fill_window(
        self,
        batches: Sequence[Sequence[Request]],
        open_ns: int,
        minimum_s: float,
        answered: Callable[[Answer], None],
    ) -> list[Answer]:
        """Pass after pass over all batches, until the window is long enough. Passes are whole: the mix stays the same.

        Args:
            batches: of one pass.
            open_ns: when the window opened.
            minimum_s: the window lasts at least so long, and at least one pass.
            answered: called after each batch; whatever it does happens inside the window.
        """
        answers: list[Answer] = []
        pass_number = 0
        while True:
            pass_number += 1
            for number, batch in enumerate(batches, 1):
                answer = self.answer(batch, pass_number, number)
                answers.append(answer)
                answered(answer)
            if time.monotonic_ns() - open_ns >= minimum_s * 1e9:
                return answers

    def close(self) -> None:
        """End the event loop."""
        if self._loop is not None:
            self._loop.close()
