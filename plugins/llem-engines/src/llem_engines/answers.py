"""Answers on their way through an engine: tokens and times until there is a record, and requests that have none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from llem.plugin_api import LlemError, Request, RequestRecord, TokenEvent
from llem_engines.names import EngineNames

Step = Sequence[TokenEvent] | RequestRecord
"""Tokens that came together, or the record behind the last of them."""


@dataclass
class UnderWay:
    """One request, and what has come of its answer so far."""

    names: EngineNames
    request: Request
    input_tokens: int
    tokens: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    end_ns: int = 0
    finish: str = ""
    cached: int | None = None

    def take(self, tokens: Sequence[int], now: int, finish: str | None, cached: int | None = None) -> None:
        """Take over tokens that came together: of one step, and several where drafted ones were accepted.

        Args:
            tokens: that are new.
            now: when they came, monotonic ns.
            finish: the engine's word for the end, or None while it goes on.
            cached: prompt tokens out of the cache, where the engine tells.
        """
        self.tokens += tokens
        self.times += [now] * len(tokens)
        if cached is not None and self.cached is None:
            # Later ones may count what was found again after the request lost its place.
            self.cached = min(cached, self.input_tokens)
        if finish is not None:
            self.end_ns, self.finish = now, finish

    @property
    def is_over(self) -> bool:
        """True where the engine has told the end."""
        return self.end_ns > 0

    def record(self, start_ns: int) -> RequestRecord:
        """The record of the request, once it is over."""
        if self.finish not in ("stop", "length"):
            raise LlemError(
                f"{self.names.engine} ended prompt {self.request.id} with `{self.finish}` after {len(self.tokens)} tokens.",
                remedy=f"{self.names.log} has what {self.names.engine} said; an answer that was broken off is no work that can be counted.",
            )
        return RequestRecord(
            id=self.request.id,
            input_tokens=self.input_tokens,
            output_tokens=len(self.tokens),
            start_ns=start_ns,
            end_ns=self.end_ns,
            finish="stop" if self.finish == "stop" else "length",
            token_ns=tuple(self.times),
            output_token_ids=tuple(self.tokens),
            cached_tokens=self.cached,
        )

    def refused(self, reason: str) -> LlemError:
        """The error of a request that the engine does not take."""
        return LlemError(
            f"{self.names.engine} refuses prompt {self.request.id} of {self.input_tokens} tokens: {reason}.",
            remedy=f"Look at {self.names.backend}.sampling, and at what the prompt holds.",
        )


@dataclass
class UncutUnderWay(UnderWay):
    """One request of an engine that cuts answers without a word where its cache is full: such an answer is none.

    Attributes:
        more_room: option, or two, that give the cache more room.
    """

    more_room: str = ""

    def record(self, start_ns: int) -> RequestRecord:
        """The record of the request, once it is over."""
        if self.finish == "length" and len(self.tokens) < self.request.output_tokens:
            raise LlemError(
                f"prompt {self.request.id} of {self.input_tokens:,} tokens and its answer of {self.request.output_tokens:,} do not "
                f"fit into {self.names.engine}'s cache, and it cut the answer to {len(self.tokens):,}.",
                remedy=f"Raise {self.more_room}, or set dataset.input_tokens and dataset.output_tokens so that they fit.",
            )
        return super().record(start_ns)


def check_context(
    names: EngineNames, requests: Sequence[Request], prompts: Sequence[Sequence[int]], context: int
) -> None:
    """Raise LlemError where a request does not fit: the engine would cut its answer short, and the work would not be what was asked for.

    Args:
        names: of the engine.
        requests: that it is to answer.
        prompts: their token ids.
        context: tokens of prompt and answer together that one of them may have.
    """
    for request, prompt in zip(requests, prompts, strict=True):
        if len(prompt) + request.output_tokens > context:
            raise LlemError(
                f"prompt {request.id} of {len(prompt)} tokens and its answer of {request.output_tokens} do not fit "
                f"into {names.engine}'s context of {context}.",
                remedy=f"Set dataset.input_tokens and dataset.output_tokens so that they fit, or raise {names.context_option}.",
            )


async def events(step: Callable[[], Awaitable[Step]]) -> AsyncGenerator[TokenEvent]:
    """The tokens of a stream, the last of them with the record: it waits for it, which is there as soon as the request is done.

    Args:
        step: gives what came next, and raises what broke the answer off; the tokens before that are still given out.
    """
    held: TokenEvent | None = None
    try:
        while True:
            found = await step()
            if isinstance(found, RequestRecord):
                if held is not None:
                    yield TokenEvent(held.token_id, held.t_ns, found)
                return
            for event in found:
                if held is not None:
                    yield held
                held = event
    except (Exception, asyncio.CancelledError):
        if held is not None:
            yield held
        raise
