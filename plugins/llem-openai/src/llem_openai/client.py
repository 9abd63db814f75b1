"""A server's answers as an engine gives them: whole groups, streams, and streams that leave at an instant."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence

from llem.plugin_api import Caveat, LlemError, Request, RequestRecord, TokenEvent
from llem_openai.exchange import Exchange
from llem_openai.notes import LateReads, sender_died, sender_missing
from llem_openai.sender import Departure, SenderDiedError
from llem_openai.streamed_answer import StreamedAnswer

_ENDING_S = 0.5
"""A process that is killed closes its connections before it is seen to have ended: so long is looked for that."""


class Client:
    """Asks through an exchange.

    Args:
        exchange: with the server; it is closed with this.
        check: sees that the server runs, and raises where it has ended: asked where an answer failed.
        took: is told each answer that was whole, with its record.
    """

    def __init__(
        self,
        exchange: Exchange,
        check: Callable[[], None],
        took: Callable[[StreamedAnswer, RequestRecord], None],
    ) -> None:
        self._exchange, self._check, self._took = exchange, check, took
        self._told_sender, self._lost_with_sender = False, 0
        self._told_fault = False
        self._late_reads = LateReads()

    def answer(self, requests: Sequence[Request], at_once: int) -> list[RequestRecord]:
        """Their records, in their order, so many under way at once."""
        try:
            heard = self._exchange.wait(self._exchange.ask_all(list(requests), at_once))
        except LlemError:
            until = time.monotonic() + _ENDING_S
            while time.monotonic() < until:
                self._check()
                time.sleep(0.02)
            raise
        return [self._record(one) for one in heard]

    def stream(self, request: Request) -> AsyncIterator[TokenEvent]:
        """Events of one request. They come when the answer is whole, with the times at which its chunks arrived: which tokens
        came with which chunk is only known then. Of an answer that fails or is cancelled they come before the error. Closing the
        iterator ends the request."""
        return self._stream(request, None)

    def prepare_ahead(self) -> bool:
        """Begin what `stream_at` takes. False where it cannot be, as over an encrypted connection."""
        return self._exchange.prepare_ahead()

    def stream_at(self, request: Request, due_ns: int, left: Callable[[int], None]) -> AsyncIterator[TokenEvent]:
        """As `stream`, but asked ahead: the request leaves at an instant.

        Args:
            request: what to ask.
            due_ns: when it leaves (monotonic ns).
            left: is told when it did.
        """
        return self._stream(request, self._exchange.departure(due_ns, left))

    def caveats(self) -> Sequence[Caveat]:
        """Late reads since the last time, and that the process that sends died or did not begin, told once."""
        found, ending, fault = list(self._late_reads.tell()), self._exchange.sender_ending, self._exchange.sender_fault
        if fault is not None and not self._told_fault:
            self._told_fault = True
            found.append(sender_missing(fault))
        if ending is not None and not self._told_sender:
            self._told_sender = True
            found.append(sender_died(ending, self._lost_with_sender))
        return found

    def close(self) -> None:
        """End the connections."""
        self._exchange.close()

    async def _stream(self, request: Request, departure: Departure | None) -> AsyncIterator[TokenEvent]:
        heard = StreamedAnswer(request, time.monotonic_ns())
        try:
            await self._exchange.hear(heard, departure)
            record = self._record(heard)
        except (LlemError, asyncio.CancelledError) as error:
            for t_ns in heard.seen_ns():
                yield TokenEvent(None, t_ns)
            if isinstance(error, SenderDiedError):
                self._lost_with_sender += 1
            elif isinstance(error, LlemError):
                self._check()
            raise
        times = record.token_ns if record.token_ns is not None else record.piece_ns
        assert times, "an answer that is counted has a time at the least"
        ids = record.output_token_ids
        *earlier, last = [
            TokenEvent(ids[place] if ids is not None and record.token_ns is not None else None, t_ns)
            for place, t_ns in enumerate(times)
        ]
        for event in earlier:
            yield event
        yield TokenEvent(last.token_id, last.t_ns, record)

    def _record(self, heard: StreamedAnswer) -> RequestRecord:
        record = heard.record()
        self._late_reads.take(heard)
        self._took(heard, record)
        return record
