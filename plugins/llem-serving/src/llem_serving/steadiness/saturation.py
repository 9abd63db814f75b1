"""Saturation: more requests come than are answered, and those that wait become more and more."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import nlargest
from itertools import chain

from llem_serving.steadiness.counting import shortfall
from llem_serving.steadiness.part import IN_A_ROW, LoadPart, recent
from llem_serving.steadiness.trend import block_means, trend_of

LIKELY = 1.0
"""Shortfall over all parts from which on a load that was never steady is called saturated."""

LIKELY_LATER = 0.5
"""The same over the later two thirds of the parts, in which a system that only had to fill keeps up."""

CERTAIN = 4.0
"""Shortfall from which on a load is given up before its time: by chance once in 30,000 times."""

MOST = 0.99
"""Share of answers that are no longer than what a system takes to fill."""

SURE = 3.3
"""Shortfall that chance gives once in 2,000 times where answers are as long as all that was seen."""

UPWARDS = 1.645
"""Score of a trend upwards: one-sided, at 5 %."""


@dataclass(frozen=True, slots=True)
class Saturation:
    """A load that the system does not keep up with.

    Attributes:
        in_flight: requests that were under way at the end of the last part, waiting or being answered.
        shortfall: arrivals less completions over all parts since the system had filled, in standard deviations of counting noise.
        arrivals, completions: over all parts.
    """

    in_flight: float
    shortfall: float
    arrivals: int
    completions: int


def growing(parts: Sequence[LoadPart], arrival_cv2: float = 1.0) -> bool:
    """True where requests in flight rise, TTFT too, and completions stay behind arrivals over all parts and over the later two thirds.

    All parts are those that began when the system had filled. With answers that are long against them, requests in flight wander far:
    what a shortfall of then has to show is `SURE`. The trend is not corrected for autocorrelation: that a queue wanders is no excuse
    for one that has grown.
    """
    return _growing(parts, _filled(parts), arrival_cv2)


def _growing(parts: Sequence[LoadPart], filled: Sequence[LoadPart], arrival_cv2: float) -> bool:
    if len(filled) < IN_A_ROW:
        return False
    later = recent(filled)
    if shortfall(filled, arrival_cv2) < _needed(parts, filled) or shortfall(later, arrival_cv2) < LIKELY_LATER:
        return False
    # Where no first token comes any more at all there is no latency left to rise.
    waits = not len(filled[-1].ttft_s) or trend_of(block_means([part.ttft_s for part in filled])).score > UPWARDS
    return waits and trend_of(block_means([part.in_flight for part in later])).score > UPWARDS


def saturates(parts: Sequence[LoadPart], arrival_cv2: float = 1.0) -> Saturation | None:
    """The saturation of a load that need not be waited for any longer; None where it may yet become steady.

    Asked for are three parts or more that began when the system had filled, each of the last three with fewer completions than
    arrivals, a shortfall over all of them that counting noise does not give, and what `growing` asks for. Before the first token of
    any request nothing is given up: how long answers take is not known then.
    """
    latest = parts[-IN_A_ROW:]
    if len(latest) < IN_A_ROW or any(part.completions >= part.arrivals for part in latest):
        return None  # before all answers are looked through: parts come in order, so those that began when it had filled are the last
    filled = _filled(parts)
    if len(filled) < IN_A_ROW:
        return None
    behind = shortfall(filled, arrival_cv2)
    if behind < CERTAIN or not _growing(parts, filled, arrival_cv2):
        return None
    waiting = (
        latest[-1].in_flight[-1] if len(latest[-1].in_flight) else float(sum(p.arrivals - p.completions for p in parts))
    )
    return Saturation(waiting, behind, sum(part.arrivals for part in parts), sum(part.completions for part in parts))


def _first_s(parts: Sequence[LoadPart]) -> float | None:
    """The shortest time to first token: what it takes where nobody waits for another. None before any first token."""
    return min((min(part.ttft_s) for part in parts if len(part.ttft_s)), default=None)


def _filled(parts: Sequence[LoadPart]) -> Sequence[LoadPart]:
    """The parts that began when the system had filled, as long as all but the longest answers after the load had begun: before,
    more arrive than end however low the load is. A queue makes that no longer: it is waited in before the first token."""
    first_s, took = _first_s(parts), list(chain.from_iterable(part.answer_s for part in parts))
    if first_s is None:
        return ()
    longer = len(took) - math.ceil(MOST * len(took))
    stay_s = first_s + (
        nlargest(longer + 1, took)[-1] if took else 0.0
    )  # of thousands a few: not all are sorted for them
    return [part for part in parts if part.since_s >= stay_s]


def _needed(parts: Sequence[LoadPart], filled: Sequence[LoadPart]) -> float:
    """Shortfall that is evidence of a queue: requests in flight vary as those that arrive during one stay do, and not as all."""
    took = [took_s for part in parts for took_s in part.answer_s]
    stay_s = (_first_s(parts) or 0.0) + (math.fsum(took) / len(took) if took else 0.0)
    return max(LIKELY, SURE * math.sqrt(min(1.0, stay_s / sum(part.length_s for part in filled))))
