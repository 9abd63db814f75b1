"""The gate before the window: it opens when the system is steady.

A gate that opens wherever nothing speaks against it would open for a load that is slightly too high whenever parts are short: few
requests tell little. So two of its conditions ask for evidence: the requests in flight may have grown by no more than a small
share of the counting noise, over three parts and over more, and neighbouring blocks of the latency may hang together only so far,
since a queue that grows drifts slowly, while one that is steady comes back to where it was. The limits were chosen by simulation
of queues in virtual time (tests/test_serving_steadiness_rates.py has their error rates).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from typing import Literal

from llem_serving.steadiness.counting import dispersion_p, shortfall
from llem_serving.steadiness.failing import failing
from llem_serving.steadiness.part import IN_A_ROW, LoadPart, recent
from llem_serving.steadiness.saturation import growing
from llem_serving.steadiness.trend import block_means, trend_of

MOST_SHORTFALL = 0.2
"""Arrivals less completions, in standard deviations of counting noise, at the most: over the parts in a row, and over the later
two thirds of all."""

ALPHA = 0.05
"""Of the tests of dispersion and of trends."""

MOST_AUTOCORRELATION = 0.2
"""Between neighbouring block means of TTFT, at the most (of requests in flight where no TTFT is seen)."""

ENERGY_CV = 0.05
"""Coefficient of variation of J per output token over the parts in a row, at the most: as for the warm-up."""


class SteadyGate:
    """Tells from parts of the load, fed one after another, when the system is steady.

    Steady means (METHOD.md, "Server scenario"): over three parts in a row throughput keeps up with arrivals and varies no more than
    counting noise allows, J per output token varies by at most 5 %, and neither requests in flight nor TTFT has a trend. Tokens of
    short parts vary by counting alone: J per output token may vary by more than that where this noise explains it.
    A request that fails is a completion; where a twentieth of them fails, nothing is steady.

    Args:
        arrival_cv2: squared coefficient of variation of the gaps of arrival: 1 for poisson, `cv`² for gamma.
        energy_cv: coefficient of variation of J per output token over the parts in a row, at the most.
    """

    def __init__(self, arrival_cv2: float = 1.0, energy_cv: float = ENERGY_CV) -> None:
        self._arrival_cv2, self._energy_cv = arrival_cv2, energy_cv
        self._parts: list[LoadPart] = []
        self.reasons: tuple[str, ...] = (f"fewer than {IN_A_ROW} parts",)

    @property
    def parts(self) -> tuple[LoadPart, ...]:
        """The parts that were fed."""
        return tuple(self._parts)

    def feed(self, part: LoadPart) -> Literal["steady", "not_yet"]:
        """Take the next part, and tell whether the system is steady now; `reasons` then says why not."""
        self._parts.append(part)
        if len(self._parts) >= IN_A_ROW:
            self.reasons = tuple(self._against())
        return "not_yet" if self.reasons else "steady"

    def verdict(self, before: Sequence[LoadPart] = ()) -> Literal["saturated", "unsteady"]:
        """The verdict at the end of patience: saturated where more and more requests wait, else unsteady.

        Args:
            before: parts of the load that were not fed, such as its ramp.
        """
        return "saturated" if growing((*before, *self._parts), self._arrival_cv2) else "unsteady"

    def _against(self) -> Iterator[str]:
        """All that speaks against a steady state."""
        latest = self._parts[-IN_A_ROW:]
        if fails := failing(sum(part.failures for part in latest), sum(part.completions for part in latest)):
            yield fails
        behind = max(shortfall(parts, self._arrival_cv2) for parts in (latest, recent(self._parts)))
        if behind > MOST_SHORTFALL:
            yield f"completions stay behind arrivals by {behind:.2f} standard deviations of counting noise"
        if (p := dispersion_p(latest, self._arrival_cv2)) < ALPHA:
            yield f"completions vary more than counting noise allows (p = {p:.2g})"
        energy = [joules for part in latest if (joules := part.j_per_output_token) is not None]
        if len(energy) == IN_A_ROW and (cv := _variation(energy)) > self._energy_cv:
            noise = [part.token_noise(self._arrival_cv2) for part in latest]
            if _by_noise(energy, noise) < ALPHA:
                yield f"J per output token varies by {cv:.1%}"
        first_tokens = block_means([part.ttft_s for part in latest])
        in_flight = block_means([part.in_flight for part in latest])
        waiting, latency = trend_of(in_flight), trend_of(first_tokens)
        for name, trend in (("requests in flight", waiting), ("TTFT", latency)):
            if (p := trend.p) < ALPHA:
                yield f"{name} {'rise' if trend.corrected > 0 else 'fall'} (p = {p:.2g})"
        together = (latency if first_tokens else waiting).autocorrelation
        if together is not None and together > MOST_AUTOCORRELATION:
            yield f"too little is seen: neighbouring blocks of latency have an autocorrelation of {together:.2f}"


def _variation(values: Sequence[float]) -> float:
    """The coefficient of variation; 0 where all are 0."""
    middle = statistics.fmean(values)
    return statistics.stdev(values) / middle if middle else 0.0


def _by_noise(values: Sequence[float], noise: Sequence[float]) -> float:
    """The probability that noise of these relative variances makes three values differ at least as much as these do.

    Cochran's dispersion test, as in `dispersion_p`: the tail of χ² with 2 degrees of freedom. 0 where there is no noise.
    """
    weights = [1 / variance if variance else math.inf for variance in noise]
    if math.inf in weights:
        return 0.0
    middle = math.fsum(w * x for w, x in zip(weights, values, strict=True)) / math.fsum(weights)
    return math.exp(-math.fsum(w * (x / middle - 1) ** 2 for w, x in zip(weights, values, strict=True)) / 2)
