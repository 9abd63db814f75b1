"""Steps between values of a parameter as ratios with intervals and tests, and which of them are the extremes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llem_analysis.cell_means import CellMeans, Estimate
from llem_analysis.contexts import Steps
from llem_analysis.effect_models import Better, Contrast, Parameter, Step
from llem_analysis.intervals import LEVEL, Interval

EQUAL_DIGITS = 12
"""Logarithms that agree in so many decimals are equal: of equal ones the first is taken, whatever rounding says."""

_LARGEST = 700.0
"""Above this the exponential of a logarithm leaves the range of numbers."""


@dataclass(frozen=True)
class Compared:
    """Two values of a parameter with the estimate of the logarithm of their ratio.

    Attributes:
        start, end: indices of the values; at: as of `Step`.
    """

    start: int
    end: int
    estimate: Estimate
    start_mean: float | None
    end_mean: float | None
    shared: int
    combinations: int

    def turned(self) -> Compared:
        """The same in the other direction."""
        turned = Estimate(-self.estimate.value, self.estimate.variance, self.estimate.df)
        return Compared(self.end, self.start, turned, self.end_mean, self.start_mean, self.shared, self.combinations)


def compared(found: Steps, means: CellMeans) -> list[Compared]:
    """The estimates of matched steps."""
    starts, ends = found.before.of(means.means).tolist(), found.after.of(means.means).tolist()
    return [
        Compared(one.start, one.end, estimate, ratio_of(start), ratio_of(end), one.shared, one.combinations)
        for one, estimate, start, end in zip(found.found, means.estimates(found.difference), starts, ends, strict=True)
    ]


def step_of(one: Compared, parameter: Parameter) -> Step:
    """One comparison by its values."""
    return Step(
        start=parameter.values[one.start],
        end=parameter.values[one.end],
        start_mean=one.start_mean,
        end_mean=one.end_mean,
        ratio=ratio_of(one.estimate.value),
        shared=one.shared,
        combinations=one.combinations,
        interval=ratio_interval(one.estimate),
        p=one.estimate.p,
    )


def p_of_any(steps: Sequence[Compared]) -> float | None:
    """P that no step is there: the smallest times their number (Bonferroni). It is small exactly where a step's own is."""
    found = [p for one in steps if (p := one.estimate.p) is not None]
    return min(1.0, len(found) * min(found)) if found else None


def first_to_last(steps: Sequence[Compared], parameter: Parameter) -> Contrast:
    """The step that nothing but the order of the values picks: the widest that there is, from the first one on."""
    one = max(steps, key=lambda step: (step.end - step.start, -step.start))
    return _contrast(one, parameter, ratio_interval(one.estimate))


def extremes(steps: Sequence[Compared], parameter: Parameter, better: Better) -> tuple[Contrast, Any]:
    """From the worst value to the best, and the value that is told from every other as the better one.

    The largest step is picked after the fact. The interval holds for all pairs of values that, as far as cycles tell, could
    have been the extremes as well (Bonferroni): for all pairs where no value is told from another, for one where both are told.
    """
    sign = 1.0 if better == "lower" else -1.0
    towards = [one if sign * one.estimate.value <= 0 else one.turned() for one in steps]
    widest = max(towards, key=lambda one: round(abs(one.estimate.value), EQUAL_DIGITS))
    together = 1 - (1 - LEVEL) / len(steps)
    many = min((1 + _alike(steps, widest.start, together)) * (1 + _alike(steps, widest.end, together)), len(steps))
    contrast = _contrast(widest, parameter, ratio_interval(widest.estimate, 1 - (1 - LEVEL) / many))
    of_value: dict[int, list[Compared]] = {}
    for one in towards:
        of_value.setdefault(one.start, []).append(one)
        of_value.setdefault(one.end, []).append(one)
    best = [value for value in sorted(of_value) if _beats_all(value, of_value[value], together)]
    return contrast, parameter.values[best[0]] if len(best) == 1 else None


def _beats_all(value: int, own: Sequence[Compared], level: float) -> bool:
    """Every step that it is in leads to it, and is told."""
    return all(one.end == value and _is_told(one.estimate, level) for one in own)


def _alike(steps: Sequence[Compared], value: int, level: float) -> int:
    """Number of other values that are not told from this one."""
    return sum(value in (one.start, one.end) and not _is_told(one.estimate, level) for one in steps)


def _is_told(found: Estimate, level: float) -> bool:
    half = found.half_width(level)
    return found.value != 0 if half is None else abs(found.value) > half


def _contrast(one: Compared, parameter: Parameter, interval: Interval | None) -> Contrast:
    return Contrast(
        start=parameter.values[one.start],
        end=parameter.values[one.end],
        start_mean=one.start_mean,
        end_mean=one.end_mean,
        ratio=ratio_of(one.estimate.value),
        shared=one.shared,
        combinations=one.combinations,
        ratio_interval=interval,
    )


def ratio_of(log: float) -> float:
    """The number whose logarithm this is; never infinite, never 0."""
    return math.exp(min(max(log, -_LARGEST), _LARGEST))


def ratio_interval(found: Estimate, level: float = LEVEL) -> Interval | None:
    """The interval of the ratio whose logarithm was estimated."""
    half = found.half_width(level)
    if half is None:
        return None
    return Interval(ratio_of(found.value - half), ratio_of(found.value + half), "t", level)
