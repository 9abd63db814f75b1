"""Requests of a load on their way to the engine and back."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from llem.plugin_api import Answer, Engine, Request, RequestRecord, TokenEvent
from llem_serving.ahead import SendsAhead

CANCEL_S = 1.0
"""Requests that are cancelled have so long to end. One that goes on is left to the end of its engine."""

_ERROR_LENGTH = 500


@dataclass(slots=True)
class Exchange:
    """One request of the load. Times are monotonic ns; None where it has not come to that.

    Attributes:
        number: its place among the arrivals, from 0.
        request: what is asked.
        arrived_ns: when it arrived, or was to.
        free_ns: when it could be sent, where it had to wait for its turn after it arrived.
        sent_ns: when it was handed to the engine.
        first_ns: when its answer began, as the engine gives it.
        seen_ns: when that was seen here: later, where an engine holds back what comes.
        ended_ns: when its answer was whole, or had failed.
        came_ns: times of what its stream gave, until it ended or was ended.
        answer: what came, where it is whole.
        error: how it failed; failure: with what.
        before: the turn of the same session that it follows.
        text: the answer's text, where a later turn took it up.
    """

    number: int
    request: Request
    arrived_ns: int
    free_ns: int | None = None
    sent_ns: int | None = None
    first_ns: int | None = None
    seen_ns: int | None = None
    ended_ns: int | None = None
    came_ns: list[int] = field(default_factory=list)
    answer: Answer | None = None
    error: str | None = None
    failure: Exception | None = None
    before: Exchange | None = None
    text: str | None = None


@dataclass
class InFlight:
    """Sends requests as they arrive, at most so many at once, and keeps what comes of each.

    Attributes:
        engine: streams several requests at once.
        most: requests under way at once; None for any number. Later ones wait in the order of their arrival.
        arrived: called with each as it arrives; began: as its first token is seen; ended: as it ends.
        ahead: the engine again, where requests can be handed to it before they are due.
        exchanges: every request that has arrived.
    """

    engine: Engine
    most: int | None = None
    arrived: Callable[[Exchange], None] | None = None
    began: Callable[[Exchange], None] | None = None
    ended: Callable[[Exchange], None] | None = None
    ahead: SendsAhead | None = None
    exchanges: list[Exchange] = field(default_factory=list)
    _waiting: deque[Exchange] = field(default_factory=deque, init=False)
    _tasks: dict[asyncio.Task[None], Exchange] = field(default_factory=dict, init=False)
    _awaited: dict[int, asyncio.Future[None]] = field(default_factory=dict, init=False)
    _closed_ns: int | None = field(default=None, init=False)

    @property
    def under_way(self) -> int:
        """Requests that have arrived and not ended, those that wait for their turn included."""
        return len(self._tasks) + len(self._waiting)

    def arrive(self, request: Request, arrived_ns: int, before: Exchange | None = None) -> Exchange:
        """Take a request, and send it as soon as it may be. Once `cancel` was called it is kept and never sent."""
        exchange = Exchange(len(self.exchanges), request, arrived_ns, before=before)
        self.exchanges.append(exchange)
        if self.arrived is not None:
            self.arrived(exchange)
        if self._closed_ns is not None:
            return exchange
        if self.most is not None and len(self._tasks) >= self.most:
            self._waiting.append(exchange)
        else:
            self._send(exchange)
        return exchange

    async def until_ended(self, exchange: Exchange) -> None:
        """Wait for one of them, one who waits each. Who waits for one that `cancel` ends waits until cancelled too."""
        if exchange.ended_ns is None:
            self._awaited[exchange.number] = asyncio.get_running_loop().create_future()
            await self._awaited[exchange.number]

    async def cancel(self) -> int:
        """End whatever is under way. What it was given until now is kept, and nothing that comes later.

        Returns:
            The number of requests that went on for `CANCEL_S`. Nothing is taken from them any more.
        """
        now_ns = self._closed_ns = time.monotonic_ns()
        self._waiting.clear()
        # What was handed over ahead and is not due has not arrived.
        self.exchanges[:] = [one for one in self.exchanges if one.arrived_ns <= now_ns]
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if not tasks:
            return 0
        _, going_on = await asyncio.wait(tasks, timeout=CANCEL_S)
        return len(going_on)

    def _send(self, exchange: Exchange) -> None:
        task = asyncio.get_running_loop().create_task(self._exchange(exchange))
        self._tasks[task] = exchange
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        exchange = self._tasks.pop(task)
        if exchange.ended_ns is not None and self._closed_ns is None:
            if self.ended is not None:
                self.ended(exchange)
            awaited = self._awaited.pop(exchange.number, None)
            if awaited is not None and not awaited.done():
                awaited.set_result(None)
        while self._waiting and (self.most is None or len(self._tasks) < self.most):
            later = self._waiting.popleft()
            later.free_ns = _done_ns(exchange)
            self._send(later)

    def _stream(self, exchange: Exchange) -> AsyncIterator[TokenEvent]:
        now_ns = time.monotonic_ns()
        # Nothing may leave before it arrives: what is not due yet takes the way that waits for its instant.
        if self.ahead is None or exchange.arrived_ns <= now_ns:
            exchange.sent_ns = now_ns
            return self.engine.stream(exchange.request)

        def left(t_ns: int) -> None:
            exchange.sent_ns = t_ns

        return self.ahead.stream_at(exchange.request, exchange.arrived_ns, left)

    async def _exchange(self, exchange: Exchange) -> None:
        stream = self._stream(exchange)
        times, records = exchange.came_ns, list[RequestRecord]()
        record_at: int | None = None
        try:
            async for event in stream:
                if self._closed_ns is not None and event.t_ns > self._closed_ns:
                    return  # it ignores that it was cancelled; the load is over, and what it was is settled
                times.append(event.t_ns)
                if exchange.first_ns is None:
                    exchange.first_ns, exchange.seen_ns = event.t_ns, time.monotonic_ns()
                    if self.began is not None:
                        self.began(exchange)
                if event.record is not None:
                    records.append(event.record)
                    record_at = len(times)
        except Exception as error:  # noqa: BLE001 - a request that fails is a figure of the load, whatever it failed of
            if self._closed_ns is None:
                exchange.failure = error
                exchange.error = f"{type(error).__name__}: {error}"[:_ERROR_LENGTH]
                # One that is handed over ahead may fail before it is due, and arrives nevertheless.
                exchange.ended_ns = max(time.monotonic_ns(), exchange.arrived_ns)
            return
        if self._closed_ns is not None:
            return
        exchange.ended_ns = time.monotonic_ns()
        exchange.answer = Answer(
            pass_number=1,
            batch_number=exchange.number + 1,
            released_ns=exchange.arrived_ns,
            returned_ns=exchange.ended_ns,
            requests=[exchange.request],
            records=records,
            stream_ns=times,
            record_at=record_at,
            sent_ns=exchange.sent_ns,
        )


def _done_ns(exchange: Exchange) -> int:
    """The instant at which the engine was done with a request that has ended, however late that was heard."""
    heard_ns = time.monotonic_ns() if exchange.ended_ns is None else exchange.ended_ns
    records = exchange.answer.records if exchange.answer is not None else ()
    return min(heard_ns, records[0].end_ns) if records else heard_ns
