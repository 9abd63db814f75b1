"""Bounds of capacity without a model: rates that held, rates that did not, and the next rate to run while one of them is missing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from llem_serving.capacity.runs import Run

_LEAST_TOLD = 0.02
"""An attainment below this tells no more than that the rate is far too high."""

_FIRST_STEP, _LATER_STEPS = 2.0, 10.0


@dataclass(frozen=True)
class Bounds:
    """Bounds of capacity.

    Attributes:
        held_rps: the highest rate that was steady and kept the attainment; 0 where none did.
        missed_rps: the lowest rate at which attainment was less, saturated runs included; infinite where none was.
        limit_rps: the lowest rate that saturated and missed the attainment, or was not steady twice, and at or above which no run was
            steady; infinite where none was.
        is_doubtful: that is the verdict of one run alone.
    """

    held_rps: float
    missed_rps: float
    limit_rps: float
    is_doubtful: bool = False


def bounds_of(runs: Sequence[Run], wanted: float) -> Bounds:
    """The bounds that runs give."""
    held = max((run.rate_rps for run in runs if run.steady is True and run.attainment >= wanted), default=0.0)
    # One verdict may be chance: a run at this rate or above that was steady says so.
    kept_up = max((run.rate_rps for run in runs if run.steady is True), default=0.0)
    limiting = [
        run
        for run in runs
        if run.rate_rps > kept_up
        and ((run.steady == "saturated" and run.attainment < wanted) or _not_steady(run, runs) > 1)
    ]
    limit = min((run.rate_rps for run in limiting), default=math.inf)
    doubtful = any(run.rate_rps == limit and _not_steady(run, runs) == 1 for run in limiting)
    missed = min((run.rate_rps for run in runs if run.attainment < wanted and _counts(run, kept_up)), default=math.inf)
    return Bounds(held, min(missed, limit), limit, doubtful)


def to_repeat(runs: Sequence[Run], wanted: float) -> float | None:
    """The rate of the last run, where it kept the attainment but was not steady, for the first time: that may be chance."""
    last = runs[-1]
    once = last.steady is not True and len(_beside(last, runs)) == 1
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


def _not_steady(run: Run, runs: Sequence[Run]) -> int:
    """The number of runs at its rate that were not steady."""
    return sum(other.steady is not True for other in _beside(run, runs))


def _counts(run: Run, kept_up_rps: float) -> bool:
    """False for a verdict of saturation that a steady run at its rate or above contradicts: how many missed then follows from it."""
    return run.steady != "saturated" or run.rate_rps > kept_up_rps
