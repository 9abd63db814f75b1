"""A request on its way through SGLang."""

from __future__ import annotations

from llem.plugin_api import LlemError, RequestRecord
from llem_engines import answers
from llem_sglang.messages import Arrived


class UnderWay(answers.UnderWay):
    """One request, and what has come of its answer so far."""

    def arrive(self, arrived: Arrived) -> None:
        """Take over tokens that came together."""
        self.take(arrived.tokens, arrived.t_ns, arrived.finish, arrived.cached)

    def record(self, start_ns: int) -> RequestRecord:
        """The record of the request, once it is over. SGLang cuts answers without a word where its cache is full."""
        if self.finish == "length" and len(self.tokens) < self.request.output_tokens:
            raise LlemError(
                f"prompt {self.request.id} of {self.input_tokens:,} tokens and its answer of {self.request.output_tokens:,} do not "
                f"fit into SGLang's cache, and it cut the answer to {len(self.tokens):,}.",
                remedy="Raise sglang.max_total_tokens or sglang.mem_fraction_static, or set dataset.input_tokens and "
                "dataset.output_tokens so that they fit.",
            )
        return super().record(start_ns)
