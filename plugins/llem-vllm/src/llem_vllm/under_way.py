"""A request on its way through vLLM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from llem.plugin_api import LlemError, Request, RequestRecord


@dataclass
class UnderWay:
    """One request, and what has come of it so far."""

    request: Request
    input_tokens: int
    tokens: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    end_ns: int = 0
    finish: str = ""
    cached: int | None = None

    def take(self, tokens: Sequence[int], now: int, finish: str | None, cached: int | None = None) -> None:
        """Tokens of one step (several where drafted ones were accepted together), and those of the prompt from the cache."""
        self.tokens += tokens
        self.cached = cached
        self.times += [now] * len(tokens)
        if finish is not None:
            self.end_ns, self.finish = now, finish

    def record(self, start_ns: int) -> RequestRecord:
        """The record of the request, once it is over."""
        if self.finish not in ("stop", "length"):
            raise LlemError(
                f"vLLM ended prompt {self.request.id} with `{self.finish}` after {len(self.tokens)} tokens.",
                remedy="worker.log has what vLLM said; an answer that was broken off is no work that can be counted.",
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
