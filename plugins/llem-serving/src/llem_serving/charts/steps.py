"""A step series brought together in intervals of time: few numbers, however many requests there were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from llem_serving.judging.in_flight import Step


@dataclass(frozen=True, slots=True)
class Bin:
    """A step series over an interval of time (s): its mean over time, its least and its most value."""

    start_s: float
    end_s: float
    mean: float
    least: int
    most: int


def binned(steps: Sequence[Step], most_bins: int) -> list[Bin]:
    """The series from its first step to its last, in equal intervals; none where it has no length."""
    if len(steps) < 2 or steps[-1].t_ns <= steps[0].t_ns:
        return []
    start, length = steps[0].t_ns, steps[-1].t_ns - steps[0].t_ns
    edges = [start + length * place // most_bins for place in range(most_bins + 1)]
    found, place, n = [], 0, 0
    for opening, closing in pairwise(edges):
        # A value that an interval only begins with is one of its own where it lasts.
        while place < len(steps) and steps[place].t_ns <= opening:
            n = steps[place].n
            place += 1
        area, least, most, since = 0, n, n, opening
        while place < len(steps) and steps[place].t_ns < closing:
            area += n * (steps[place].t_ns - since)
            since, n = steps[place].t_ns, steps[place].n
            least, most = min(least, n), max(most, n)
            place += 1
        area += n * (closing - since)
        if closing > opening:
            found.append(Bin(opening / 1e9, closing / 1e9, area / (closing - opening), least, most))
    return found
