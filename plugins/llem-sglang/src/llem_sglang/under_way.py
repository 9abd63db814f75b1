"""A request on its way through SGLang."""

from __future__ import annotations

from dataclasses import dataclass

from llem_engines import answers
from llem_sglang.messages import Arrived


@dataclass
class UnderWay(answers.UncutUnderWay):
    """One request, and what has come of its answer so far. SGLang cuts answers without a word where its cache is full."""

    more_room: str = "sglang.max_total_tokens or sglang.mem_fraction_static"

    def arrive(self, arrived: Arrived) -> None:
        """Take over tokens that came together."""
        self.take(arrived.tokens, arrived.t_ns, arrived.finish, arrived.cached)
