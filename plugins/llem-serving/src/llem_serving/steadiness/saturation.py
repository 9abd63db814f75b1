"""Saturation: more requests come than are answered, and those that wait become more and more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llem_serving.steadiness.counting import shortfall
from llem_serving.steadiness.part import IN_A_ROW, LoadPart, recent
from llem_serving.steadiness.trend import block_means, trend_of

LIKELY = 1.0
"""Shortfall over all parts from which on a load that was never steady is called saturated."""

LIKELY_LATER = 0.5
"""The same over the later two thirds of the parts, in which a system that only had to fill keeps up."""

CERTAIN = 4.0
"""Shortfall from which on a load is given up before its time: by chance once in 30,000 times."""

UPWARDS = 1.645
"""Score of a trend upwards: one-sided, at 5 %."""


@dataclass(frozen=True, slots=True)
class Saturation:
    """A load that the system does not keep up with.

    Attributes:
        in_flight: requests that were under way at the end of the last part, waiting or being answered.
        shortfall: arrivals less completions over all parts, in standard deviations of counting noise.
        arrivals, completions: over all parts.
    """

    in_flight: float
    shortfall: float
    arrivals: int
    completions: int


def growing(parts: Sequence[LoadPart], arrival_cv2: float = 1.0) -> bool:
    """True where requests in flight rise, and completions stay behind arrivals over all parts and over the later two thirds.

    The trend is not corrected for autocorrelation: that a queue wanders is no excuse for one that has grown.
    """
    later = recent(parts)
    if shortfall(parts, arrival_cv2) < LIKELY or shortfall(later, arrival_cv2) < LIKELY_LATER:
        return False
    return trend_of(block_means([part.in_flight for part in later])).score > UPWARDS


def saturates(parts: Sequence[LoadPart], arrival_cv2: float = 1.0) -> Saturation | None:
    """The saturation of a load that need not be waited for any longer; None where it may yet become steady.

    Asked for are three parts or more, each of the last three with fewer completions than arrivals, a shortfall over all parts that
    counting noise does not give, and a rise of requests in flight and of TTFT (where first tokens come). TTFT tells saturation from a
    system that fills because its answers take longer than the parts seen so far.
    """
    latest = parts[-IN_A_ROW:]
    if len(latest) < IN_A_ROW or any(part.completions >= part.arrivals for part in latest):
        return None
    behind = shortfall(parts, arrival_cv2)
    if behind < CERTAIN or not growing(parts, arrival_cv2):
        return None
    # Where no first token comes any more at all there is no latency left to rise.
    if len(latest[-1].ttft_s) and trend_of(block_means([part.ttft_s for part in parts])).score <= UPWARDS:
        return None
    waiting = (
        latest[-1].in_flight[-1] if len(latest[-1].in_flight) else float(sum(p.arrivals - p.completions for p in parts))
    )
    return Saturation(waiting, behind, sum(part.arrivals for part in parts), sum(part.completions for part in parts))
