"""A load in virtual time, and engines of known truth."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from driven_load import drive_of
from virtual_loop import run_virtually

from llem.plugin_api import Request, RequestRecord, TokenEvent
from llem_serving.config import LoadConfig
from llem_serving.course import Course


@dataclass
class KnownEngine:
    """Answers as it is told to, and keeps what it gave out.

    Attributes:
        answer_s: by request id, from its first token to its last; tokens: of each answer.
        first_s: from its start to its first token.
        servers: requests that are answered at once; others wait. None: any number.
        fails_after: of every second request, tokens after which it fails.
        piece: tokens of each event; above 1 they are pieces, whose tokens nobody counts until the answer is whole.
        held: events come when the answer is whole, or breaks off.
        given: time of each event, whoever's answer it is of.
        ended: when each request ended, with its id.
    """

    answer_s: Callable[[int], float] = lambda _: 1.0
    tokens: int = 20
    first_s: float = 0.05
    servers: int | None = None
    fails_after: int | None = None
    piece: int = 1
    held: bool = False
    given: list[int] = field(default_factory=list)
    ended: list[tuple[int, int]] = field(default_factory=list)
    _places: asyncio.Semaphore | None = None
    _asked: int = 0

    async def stream(self, request: Request) -> AsyncIterator[TokenEvent]:
        number, self._asked = self._asked, self._asked + 1
        begun_ns, seen = time.monotonic_ns(), list[int]()
        if self.servers is not None:
            self._places = self._places or asyncio.Semaphore(self.servers)
            await self._places.acquire()
        try:
            gap_s = self.answer_s(number) / max(1, self.tokens - 1)
            for place in range(self.tokens):
                await asyncio.sleep(self.first_s if place == 0 else gap_s)
                if self.fails_after is not None and number % 2 and place == self.fails_after:
                    raise RuntimeError("told to fail")
                now_ns = time.monotonic_ns()
                self.given.append(now_ns)
                seen.append(now_ns)
                if place + 1 < self.tokens and not self.held:
                    yield TokenEvent(None, now_ns)
        except (RuntimeError, asyncio.CancelledError):
            for t_ns in seen if self.held else ():
                yield TokenEvent(None, t_ns)
            raise
        finally:
            self.ended.append((request.id, time.monotonic_ns()))
            if self._places is not None:
                self._places.release()
        for t_ns in seen[:-1] if self.held else ():
            yield TokenEvent(None, t_ns)
        yield TokenEvent(
            None,
            seen[-1],
            RequestRecord(
                id=request.id,
                input_tokens=5,
                output_tokens=self.piece * len(seen),
                start_ns=begun_ns,
                end_ns=seen[-1],
                finish="length",
                token_ns=tuple(seen) if self.piece == 1 else None,
                piece_ns=tuple(seen) if self.piece > 1 else None,
            ),
        )

    def decode(self, token_ids: Sequence[int]) -> str | None:
        return None


def driven_virtually(engine: KnownEngine, load: LoadConfig, cycle: int = 1) -> Course:
    """The course of a load in virtual time."""
    requests = [Request(id=one, output_tokens=engine.tokens * engine.piece, prompt="hi") for one in range(50)]

    async def drive() -> Course:
        one = drive_of(engine, requests, load)  # type: ignore[arg-type]
        object.__setattr__(one.context, "cycle", cycle)
        return await one.run()

    return run_virtually(drive)
