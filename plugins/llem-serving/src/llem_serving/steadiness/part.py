"""One part of a load: what came, what went, and what it took, over a stretch of time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

IN_A_ROW = 3
"""Parts in a row that have to be alike in a steady state."""


@dataclass(frozen=True, slots=True)
class LoadPart:
    """One part of the load, of the same length as the others.

    Attributes:
        arrivals: requests that arrived in it.
        completions: requests that were answered in it, whenever they arrived. One that failed left the system too.
        output_tokens: of the answers that ended in it. Over HTTP an answer's tokens are known at its end; in a steady state as many
            end as are given out.
        energy_j: of it; None where nothing measures energy.
        in_flight: requests under way, sampled at equal distances, the last at its end.
        ttft_s: times to first token in the order in which the first tokens were seen: of requests whose first token was seen in it,
            not of those that arrived in it, since the slow ones of these are not known yet. Empty where no first token is seen.
        answer_s: how long answers that ended in it took, from first token to end.
        since_s: for how long the load had gone on when it began; infinite where the system was filled long ago.
        length_s: of it; infinite where answers are short against it.
        squared_tokens: sum of the squares of the tokens of each answer that ended in it.
        failures: of the completions, those that failed.
    """

    arrivals: int
    completions: int
    output_tokens: int = 0
    energy_j: float | None = None
    in_flight: Sequence[float] = field(default=())
    ttft_s: Sequence[float] = field(default=())
    answer_s: Sequence[float] = field(default=())
    since_s: float = math.inf
    length_s: float = math.inf
    squared_tokens: int = 0
    failures: int = 0

    @property
    def j_per_output_token(self) -> float | None:
        """Joules per output token; None without energy or tokens."""
        if self.energy_j is None or self.output_tokens == 0:
            return None
        return self.energy_j / self.output_tokens

    def token_noise(self, arrival_cv2: float = 1.0) -> float:
        """Relative variance that counting gives to `output_tokens`: Σ l² / (Σ l)², that of a compound Poisson process.

        Args:
            arrival_cv2: squared coefficient of variation of the gaps of arrival, by which counts vary more.
        """
        return max(1.0, arrival_cv2) * self.squared_tokens / self.output_tokens**2 if self.output_tokens else 0.0


def recent(parts: Sequence[LoadPart]) -> Sequence[LoadPart]:
    """The later two thirds of the parts, at least the last three: the first ones may have seen the system fill with requests."""
    return parts[max(0, min(len(parts) - IN_A_ROW, len(parts) // 3)) :]
