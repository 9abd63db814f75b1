"""One answer on its way from the thread that makes it to the event loop that waits for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence

from llem.plugin_api import Request, RequestRecord, TokenEvent

Arrived = TokenEvent | BaseException


class StreamedAnswer:
    """The answer to one request. Made in the event loop that reads it; a server's thread puts tokens into it.

    Args:
        request: what was asked.
        prompt: its token ids.
        end_ids: token ids that end the answer; none where its length is fixed.
        start_ns: when the engine took the request (monotonic ns).
        timed: whether the times at which tokens come are theirs; without, the record has none.
    """

    def __init__(
        self,
        request: Request,
        prompt: Sequence[int],
        end_ids: Collection[int],
        *,
        start_ns: int,
        timed: bool = True,
    ) -> None:
        self.request, self.prompt = request, prompt
        self.end_ids = () if request.ignore_eos else end_ids
        self.tokens: list[int] = []
        self.has_ended = False
        """Nothing more is taken: the answer is whole, has failed, or was given up."""
        self.is_given_up = False
        """Nobody waits for it any more."""
        self._start_ns, self._timed = start_ns, timed
        self._times: list[int] = []
        self._loop = asyncio.get_running_loop()
        self._arrived: asyncio.Queue[Arrived] = asyncio.Queue()

    def take(self, tokens: Iterable[int], t_ns: int) -> list[Arrived]:
        """Take what a step made, up to the answer's own end; the events are for `hand_over`."""
        events: list[Arrived] = []
        for token in tokens:
            if self.has_ended:
                break
            self.tokens.append(token)
            self._times.append(t_ns)
            is_stop = token in self.end_ids
            self.has_ended = is_stop or len(self.tokens) >= self.request.output_tokens
            events.append(TokenEvent(token, t_ns, self._record(is_stop) if self.has_ended else None))
        return events

    def fail(self, error: BaseException) -> list[Arrived]:
        """End it with an error; nothing where it has ended before."""
        if self.has_ended:
            return []
        self.has_ended = True
        return [error]

    def give_up(self) -> None:
        """End it unanswered; harmless where it has ended before."""
        self.is_given_up = not self.has_ended
        self.has_ended = True

    async def events(self) -> AsyncIterator[TokenEvent]:
        """Tokens as they come, the last one with the record. Raises what it failed of."""
        while True:
            arrived = await self._arrived.get()
            if isinstance(arrived, BaseException):
                raise arrived
            yield arrived
            if arrived.record is not None:
                return

    def _record(self, is_stop: bool) -> RequestRecord:
        return RequestRecord(
            id=self.request.id,
            input_tokens=len(self.prompt),
            output_tokens=len(self.tokens),
            start_ns=self._start_ns,
            end_ns=time.monotonic_ns(),
            finish="stop" if is_stop else "length",
            token_ns=tuple(self._times) if self._timed else None,
            output_token_ids=tuple(self.tokens),
        )

    @staticmethod
    def hand_over(arrived: Sequence[tuple[StreamedAnswer, Sequence[Arrived]]]) -> None:
        """Give what a step brought to those who wait for it, waking each event loop once. Called in any thread."""
        loops: dict[asyncio.AbstractEventLoop, list[tuple[Callable[[Arrived], None], Arrived]]] = {}
        for answer, events in arrived:
            loops.setdefault(answer._loop, []).extend((answer._arrived.put_nowait, event) for event in events)
        for loop, calls in loops.items():
            if calls and not loop.is_closed():
                _wake(loop, calls)


def _wake(loop: asyncio.AbstractEventLoop, calls: Sequence[tuple[Callable[[Arrived], None], Arrived]]) -> None:
    def put() -> None:
        for put_one, event in calls:
            put_one(event)

    try:
        loop.call_soon_threadsafe(put)
    except RuntimeError:
        return  # the loop was closed meanwhile: nobody waits for these answers
