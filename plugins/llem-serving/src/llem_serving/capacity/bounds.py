"""Bounds of capacity without a model: rates that held, rates that did not, and the next rate to run while one of them is missing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from llem_serving.capacity.runs import Run

_LEAST_TOLD = 0.02
"""An attainment below this tells no more than that the rate is far too high."""

_FIRST_STEP, _LATER_STEPS = 2.0, 8.0


@dataclass(frozen=True)
class Bounds:
    """Bounds of capacity.

    Attributes:
        held_rps: the highest rate that was steady and kept the attainment; 0 where none did.
        missed_rps: the lowest rate at which attainment was less, saturated runs included; infinite where none was.
        limit_rps: the lowest rate above `held_rps` that saturated, or was unsteady twice; infinite where none was.
    """

    held_rps: float
    missed_rps: float
    limit_rps: float


def bounds_of(runs: Sequence[Run], wanted: float) -> Bounds:
    """The bounds that runs give."""
    held = max((run.rate_rps for run in runs if run.steady is True and run.attainment >= wanted), default=0.0)
    limits = [run.rate_rps for run in runs if run.steady == "saturated" or _unsteady_twice(run, runs)]
    # One verdict may be chance: a rate that held above it says so.
    limit = min((rate for rate in limits if rate > held), default=math.inf)
    missed = min((run.rate_rps for run in runs if run.attainment < wanted), default=math.inf)
    return Bounds(held, min(missed, limit), limit)


def to_repeat(runs: Sequence[Run], wanted: float) -> float | None:
    """The rate of the last run, where it kept the attainment but was unsteady for the first time: that may be chance."""
    last = runs[-1]
    once = last.steady is False and len(_beside(last, runs)) == 1
    return last.rate_rps if once and last.attainment >= wanted else None


def next_to_bracket(runs: Sequence[Run], wanted: float) -> float | None:
    """The rate to run while one side of capacity is unknown; None once a model can tell better.

    The first step is small, for who knows about where capacity is. A saturated run that tells what it completed shows about where capacity is.
    """
    bounds = bounds_of(runs, wanted)
    if any(_LEAST_TOLD <= run.attainment < wanted and run.steady != "saturated" for run in runs):
        return None
    completed = [run.completed_rps for run in runs if run.steady == "saturated" and run.completed_rps]
    if completed:
        rate = 0.9 * min(completed)
        if bounds.held_rps < rate < bounds.missed_rps and all(abs(run.rate_rps / rate - 1) > 0.1 for run in runs):
            return rate
    step = _FIRST_STEP if len(runs) == 1 else _LATER_STEPS
    if bounds.held_rps:
        return max(run.rate_rps for run in runs) * step if math.isinf(bounds.missed_rps) else None
    lowest = min(run.rate_rps for run in runs)
    return lowest / step if not math.isinf(bounds.missed_rps) else lowest * step


def _beside(run: Run, runs: Sequence[Run]) -> Sequence[Run]:
    return [other for other in runs if math.isclose(other.rate_rps, run.rate_rps, rel_tol=1e-9)]


def _unsteady_twice(run: Run, runs: Sequence[Run]) -> bool:
    return sum(other.steady is False for other in _beside(run, runs)) > 1
