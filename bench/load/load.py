"""A load, as every tool is asked for it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

Arrival = Literal["constant", "poisson"]
ARRIVALS: tuple[Arrival, ...] = get_args(Arrival)


@dataclass(frozen=True, kw_only=True)
class Load:
    """A load of requests that wait for no answer.

    Attributes:
        arrival: process of arrival.
        rate_rps: requests per second.
        duration_s: for so long.
        ramp_s: load before, which llem leaves out of its window.
        tokens: of each answer.
        seed: of the arrivals.
        words: of each token's text. Tools that count tokens themselves count one a word.
    """

    arrival: Arrival
    rate_rps: float
    duration_s: float
    ramp_s: float = 1.0
    tokens: int = 16
    seed: int = 0
    words: int = 1

    @property
    def requests(self) -> int:
        """Requests that are expected."""
        return round(self.rate_rps * self.duration_s)

    @property
    def prompts(self) -> int:
        """Prompts that are enough for all that may arrive, so that none is asked twice."""
        return round(self.rate_rps * (self.ramp_s + self.duration_s + 10) * 1.2) + 100

    def write_prompts(self, file: Path, key: str = "prompt") -> None:
        """Prompts of eight words, one in each line under this key, the first of which is the request's own."""
        lines = (json.dumps({key: f"r{number} one two three four five six seven"}) for number in range(self.prompts))
        file.write_text("\n".join(lines) + "\n")
