"""A request on its way through SGLang."""

from __future__ import annotations

from dataclasses import dataclass, field

from llem.plugin_api import LlemError, Request, RequestRecord
from llem_sglang.messages import Arrived


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

    def take(self, arrived: Arrived) -> None:
        """Take over tokens that came together: of one step, and several where drafted ones were accepted."""
        self.tokens += arrived.tokens
        self.times += [arrived.t_ns] * len(arrived.tokens)
        if arrived.cached is not None and self.cached is None:
            # Later ones count what was found again after a retraction as well.
            self.cached = min(arrived.cached, self.input_tokens)
        if arrived.finish is not None:
            self.end_ns, self.finish = arrived.t_ns, arrived.finish

    def record(self, start_ns: int) -> RequestRecord:
        """The record of the request, once it is over."""
        if self.finish not in ("stop", "length"):
            raise LlemError(
                f"SGLang ended prompt {self.request.id} with `{self.finish}` after {len(self.tokens)} tokens.",
                remedy="sglang.log has what SGLang said; an answer that was broken off is no work that can be counted.",
            )
        if self.finish == "length" and len(self.tokens) < self.request.output_tokens:
            raise LlemError(
                f"prompt {self.request.id} of {self.input_tokens:,} tokens and its answer of {self.request.output_tokens:,} do not "
                f"fit into SGLang's cache, and it cut the answer to {len(self.tokens):,}.",
                remedy="Raise sglang.max_total_tokens or sglang.mem_fraction_static, or set dataset.input_tokens and "
                "dataset.output_tokens so that they fit.",
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
