"""Prompt tokens from the engine's cache, beside those that a cache of prefixes could have had."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from llem.plugin_api import Answer, Caveat, Message, Request, RequestRecord
from llem_serving.in_flight import Exchange
from llem_serving.judging import Window

CODE = "cache_share_differs"
"""Code of the caveat."""

MOST_DIFFERENCE = 0.05
"""Of all prompt tokens: from there on the two shares are said to disagree, a block for each repeated prompt apart."""

_BLOCK = 16
"""Token ids are compared in blocks of so many, as engines keep them."""


class PrefixMemory:
    """A cache of prefixes that forgets nothing.

    Prompts of token ids are known by blocks. Of a chat the tokens are known that the engine counted in earlier chats which it
    goes on from. Of a text only the whole is known.
    """

    def __init__(self) -> None:
        self._blocks: set[int] = set()
        self._chats: dict[tuple[Message, ...], int] = {}
        self._texts: dict[str, int] = {}
        self._chains: dict[int, tuple[int, ...]] = {}

    def known(self, request: Request) -> int:
        """Tokens at the beginning of a prompt that earlier ones had too."""
        if request.messages is not None:
            said = tuple(request.messages)
            return next((self._chats[said[:n]] for n in range(len(said), 0, -1) if said[:n] in self._chats), 0)
        if request.prompt_token_ids is None:
            return self._texts.get(request.prompt or "", 0)
        count = 0
        for link in self._chain(request):
            if link not in self._blocks:
                break
            count += 1
        return count * _BLOCK

    def add(self, request: Request, record: RequestRecord | None, text: str | None = None) -> None:
        """Take a prompt that was sent.

        Args:
            record: of its answer; None where there is none.
            text: of its answer, where a later chat goes on from it.
        """
        if request.prompt_token_ids is not None and request.messages is None:
            self._blocks.update(self._chain(request))
        elif record is not None and request.messages is not None:
            said = tuple(request.messages)
            self._chats[said] = record.input_tokens
            if text is not None:
                self._chats[(*said, Message("assistant", text))] = record.input_tokens + record.output_tokens
        elif record is not None and request.prompt is not None:
            self._texts[request.prompt] = record.input_tokens

    def _chain(self, request: Request) -> tuple[int, ...]:
        """A number for each whole block, which stands for all tokens up to its end."""
        if request.id not in self._chains:
            self._chains[request.id] = tuple(_links(tuple(request.prompt_token_ids or ())[: request.max_input_tokens]))
        return self._chains[request.id]


@dataclass(frozen=True, slots=True)
class CacheShares:
    """Shares of the prompt tokens of a window's requests.

    Attributes:
        input_tokens: of all of them.
        repeated_tokens: of these, those that earlier prompts began with too.
        told_input_tokens, told_repeated_tokens: the same of requests of which the engine tells what it took from its cache.
        cached_tokens: that it took from there.
        repeats: requests with either.
    """

    input_tokens: int = 0
    repeated_tokens: int = 0
    told_input_tokens: int = 0
    told_repeated_tokens: int = 0
    cached_tokens: int = 0
    repeats: int = 0

    @property
    def repeated(self) -> float | None:
        """The share that a cache of prefixes could have had, at the most; None without prompts."""
        return self.repeated_tokens / self.input_tokens if self.input_tokens else None

    @property
    def cached(self) -> float | None:
        """The share that the engine's cache had; None where the engine does not tell."""
        return self.cached_tokens / self.told_input_tokens if self.told_input_tokens else None

    @property
    def caveat(self) -> Caveat | None:
        """The caveat of shares that disagree; None where they agree, or the engine tells nothing."""
        if self.cached is None:
            return None
        # Engines keep whole blocks, and compute the last token of a prompt anew.
        slack = MOST_DIFFERENCE * self.told_input_tokens + _BLOCK * self.repeats
        if abs(self.cached_tokens - self.told_repeated_tokens) <= slack:
            return None
        expected = self.told_repeated_tokens / self.told_input_tokens
        why = (
            "its cache is off, too small, or forgets"
            if self.cached < expected
            else "its cache holds prompts of before this experiment, or beginnings that all chats share"
        )
        return Caveat(
            CODE,
            f"the engine took {self.cached:.1%} of the prompt tokens from its cache, and {expected:.1%} repeat the beginning of an "
            f"earlier prompt: {why}. Energy and latency are those of the former share.",
        )


def cache_shares(exchanges: Sequence[Exchange], warmed: Iterable[Answer], open_ns: int, close_ns: int) -> CacheShares:
    """The shares of the answered requests that arrived in the window.

    Args:
        exchanges: all of the load: prompts of before the window are in a cache too.
        warmed: answers of the warm-up, likewise.
        open_ns, close_ns: the window.
    """
    memory, window = PrefixMemory(), Window(open_ns, close_ns)
    for answer in warmed:
        for request, told in zip(answer.requests, answer.records, strict=False):
            memory.add(request, told)
    counts = [0] * 6
    for exchange in sorted((one for one in exchanges if one.sent_ns is not None), key=_sent_ns):
        record = exchange.answer.records[0] if exchange.answer is not None and exchange.answer.records else None
        if record is not None and window.arrives_inside(exchange.arrived_ns):
            known = min(memory.known(exchange.request), record.input_tokens)
            counts[0] += record.input_tokens
            counts[1] += known
            cached = record.cached_tokens
            # An engine is not to be trusted: a count that cannot be is none.
            if isinstance(cached, int) and 0 <= cached <= record.input_tokens:
                counts[2] += record.input_tokens
                counts[3] += known
                counts[4] += cached
                counts[5] += bool(known or cached)
        memory.add(exchange.request, record, exchange.text)
    return CacheShares(*counts)


def _sent_ns(exchange: Exchange) -> int:
    return exchange.sent_ns or 0


def _links(ids: Sequence[int]) -> Iterator[int]:
    link = 0
    for end in range(_BLOCK, len(ids) + 1, _BLOCK):
        link = hash((link, *ids[end - _BLOCK : end]))
        yield link
