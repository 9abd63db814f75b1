"""One answer as it came over the wire, and what of it was really seen: tokens where the server counts them, else pieces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from llem.errors import LlemError
from llem.specs.backend import Request, RequestRecord


@dataclass
class Hearing:
    """What came of one request.

    Attributes:
        request: what was asked; start_ns: when it was sent.
        seen: one time for each token where the chunk that brought it says how many it holds, else one for the chunk.
        finish, input_tokens, output_tokens, cached_tokens: as the server says; None until it does.
        end_ns: when the last chunk came.
    """

    request: Request
    start_ns: int
    seen: list[int] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)
    finish: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    end_ns: int = 0
    _counted: int = 0

    def take(self, chunk: Mapping[str, Any], t_ns: int) -> int:
        """One chunk of the stream; how many times it added to `seen`."""
        choice = next(iter(chunk.get("choices") or ()), None)
        count = self._take_usage(chunk.get("usage"))
        self.end_ns = t_ns
        if choice is None:
            return 0
        self.finish = choice.get("finish_reason") or self.finish
        ids = choice.get("token_ids") or ()
        self.ids += ids
        if count is None:
            count = len(ids) or _in_logprobs(choice.get("logprobs"))
        if count is None:
            count = 1 if _text(choice) else 0
        self.seen += [t_ns] * count
        return count

    def _take_usage(self, usage: Mapping[str, Any] | None) -> int | None:
        """How many tokens came since the last count; None where the chunk does not say."""
        if not usage:
            return None
        self.input_tokens = usage.get("prompt_tokens", self.input_tokens)
        self.cached_tokens = (usage.get("prompt_tokens_details") or {}).get("cached_tokens", self.cached_tokens)
        told = usage.get("completion_tokens")
        if not isinstance(told, int):
            return None
        self.output_tokens, new = told, told - self._counted
        self._counted = told
        return new

    def record(self) -> RequestRecord:
        """What happened, once the stream has ended.

        Tokens have times where there are as many sightings as tokens: a chunk without a count holds one or more, so that
        each then holds one. Else they are times of pieces.

        Raises:
            LlemError: the server kept back what a record needs, or did other work than was asked.
        """
        self._check()
        assert self.input_tokens is not None
        assert self.output_tokens is not None
        self.seen = self.seen or [self.end_ns]  # an answer without a letter, such as a stop token alone
        each = len(self.seen) == self.output_tokens
        return RequestRecord(
            id=self.request.id,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            start_ns=self.start_ns,
            end_ns=self.end_ns,
            finish="stop" if self.finish == "stop" else "length",
            token_ns=tuple(self.seen) if each else None,
            output_token_ids=tuple(self.ids) if len(self.ids) == self.output_tokens else None,
            piece_ns=None if each else tuple(self.seen),
        )

    def _check(self) -> None:
        where, request = f"prompt {self.request.id}", self.request
        if self.input_tokens is None or self.output_tokens is None:
            raise LlemError(
                "the server does not say how many tokens it read and wrote, and no figure per token can be told.",
                where=where,
                remedy="Use a server that reports `usage` where stream_options.include_usage asks for it.",
            )
        if self.finish not in ("length", "stop"):
            raise LlemError(
                f"the answer ended with {self.finish!r}, neither by its length nor by the stop token.",
                where=where,
                remedy="Look at the server's log: it may have filtered or cut the answer.",
            )
        if request.ignore_eos and self.output_tokens != request.output_tokens:
            raise LlemError(
                f"the answer has {self.output_tokens} tokens where exactly {request.output_tokens} were asked.",
                where=where,
                remedy="This server does not go on after the stop token, or has a shorter context: set "
                "decoding.length: natural, or shorten dataset.output_tokens.",
            )
        if len(self.seen) > self.output_tokens:
            raise LlemError(
                f"the answer came in {len(self.seen)} pieces, and the server counts {self.output_tokens} tokens.",
                where=where,
                remedy="One of the two cannot be true; report it to whoever maintains the server.",
            )
        given = request.prompt_token_ids
        if given is not None and self.input_tokens != len(given):
            raise LlemError(
                f"the server read {self.input_tokens} tokens where {len(given)} were sent.",
                where=where,
                remedy="It adds or drops tokens of its own; use a dataset of text.",
            )


def _text(choice: Mapping[str, Any]) -> str:
    delta = choice.get("delta") or {}
    return choice.get("text") or delta.get("content") or delta.get("reasoning_content") or delta.get("reasoning") or ""


def _in_logprobs(logprobs: Mapping[str, Any] | None) -> int | None:
    """How many tokens a chunk has logprobs of; None where it has none."""
    found = (logprobs or {}).get("content") or (logprobs or {}).get("tokens")
    return len(found) if found else None
