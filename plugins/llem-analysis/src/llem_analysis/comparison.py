"""One configuration against another, and several against one. Pure functions over values by cycle.

The tests are t tests. A permutation of signs would ask for less, but among n pairs its smallest p-value is 2^(1 - n):
0.25 for three cycles and 0.06 for five, so that it could find nothing in studies of the usual size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from llem_analysis import holm, student
from llem_analysis.comparability import unlike as unlike_environments
from llem_analysis.intervals import FEWEST, LEVEL, Interval, mean

if TYPE_CHECKING:
    from llem_analysis.configurations import Configuration

PAIRS_CYCLES: Mapping[str, bool] = {
    "sequential": False,
    "interleaved": True,
    "shuffled": True,
    "reversed": True,
    "latin_square": True,
}
"""True for an order that runs the same cycle of all configurations close together: they share what drifts."""


@dataclass(frozen=True)
class Comparison:
    """`other` against `base`.

    Attributes:
        paired: by cycle; then only the cycles that both have count.
        n_base, n_other: how many values there are of each.
        base_mean, other_mean: their means, in their unit.
        difference: mean of other - mean of base.
        ratio: mean of other / mean of base; None where that of base is 0.
        difference_interval: 95 % where no other level is asked for, by t.
        ratio_interval: likewise, by Fieller's theorem with the same t and degrees of freedom, so that at 95 % it leaves out 1
            exactly where the interval of the difference leaves out 0 and p is below 0.05. None where it would be unbounded.
        p: two-sided, that the means are equal.
        p_adjusted: p after Holm's correction over all comparisons made together.
        df: degrees of freedom.
        reason: why there is no interval and no p; None where there are.
        unlike: where the two ran in environments that are not alike, a sentence that says so; the difference may then be
            theirs. None where they are alike, or where only values are compared.
    """

    paired: bool
    n_base: int
    n_other: int
    base_mean: float
    other_mean: float
    difference: float
    ratio: float | None
    difference_interval: Interval | None = None
    ratio_interval: Interval | None = None
    p: float | None = None
    p_adjusted: float | None = None
    df: float | None = None
    reason: str | None = None
    unlike: str | None = None


@dataclass(frozen=True)
class Moments:
    """Means, and the variances and covariance of these means, with their degrees of freedom."""

    base: float
    other: float
    var_base: float
    var_other: float
    covariance: float
    df: float

    def variance(self, ratio: float = 1.0) -> float:
        """Variance of the other mean less `ratio` times that of the base; rounding brings it to 0 at the least."""
        return max(0.0, ratio * ratio * self.var_base + self.var_other - 2 * ratio * self.covariance)


def compare(base: Mapping[int, float], other: Mapping[int, float], order: str, level: float = LEVEL) -> Comparison:
    """Compare two configurations by one figure.

    Paired by cycle where the order of the study allows it (`PAIRS_CYCLES`) and both have three cycles in common or more:
    the paired t test (Student, Biometrika 6, 1908). Else Welch's, which does not ask for equal variances (Welch, The
    generalization of 'Student's' problem, Biometrika 34, 1947).

    Args:
        base, other: cycle to value; each at least one.
        order: of the study, as in `ExecutionConfig.order`.
        level: of the intervals.

    Raises:
        ValueError: one of them has no value.
    """
    paired, first, second = _sides(base, other, order)
    mean_base, mean_other = mean(first), mean(second)
    found = Comparison(
        paired=paired,
        n_base=len(first),
        n_other=len(second),
        base_mean=mean_base,
        other_mean=mean_other,
        difference=mean_other - mean_base,
        ratio=mean_other / mean_base if mean_base else None,
    )
    fewest = min(len(first), len(second))
    if fewest < FEWEST:
        return replace(
            found, reason=f"one of the two has {fewest} cycle{'s' * (fewest != 1)}; an interval takes {FEWEST} or more"
        )
    moments = _moments(paired, first, second)
    variance = moments.variance() if moments else 0.0
    if moments is None or variance <= 0:
        return replace(found, reason="the values do not vary from cycle to cycle")
    error = math.sqrt(variance)
    half = student.quantile(level, moments.df) * error
    return replace(
        found,
        difference_interval=Interval(found.difference - half, found.difference + half, "t", level),
        ratio_interval=fieller(moments, level),
        p=student.two_sided_p(found.difference / error, moments.df),
        df=moments.df,
    )


def p_above(base: Mapping[int, float], other: Mapping[int, float], order: str, ratio: float) -> float | None:
    """One-sided p of mean of other / mean of base being no more than `ratio`: small where it is more.

    By the t and the degrees of freedom of `compare`: below 2.5 % exactly where the lower end of its `ratio_interval` lies above
    `ratio`, above 97.5 % exactly where the upper end lies below. Values that do not vary give 0 or 1: 1 at `ratio` itself.

    Args:
        base, other, order: as `compare` takes them.

    Returns:
        None where one of them has fewer cycles than an interval takes.
    """
    paired, first, second = _sides(base, other, order)
    if min(len(first), len(second)) < FEWEST:
        return None
    moments = _moments(paired, first, second)
    variance = moments.variance(ratio) if moments else 0.0
    excess = mean(second) - ratio * mean(first)
    if moments is None or variance <= 0:
        return 0.0 if excess > 0 else 1.0
    half = student.two_sided_p(excess / math.sqrt(variance), moments.df) / 2
    return half if excess > 0 else 1 - half


def compare_all(base: Mapping[int, float], others: Sequence[Mapping[int, float]], order: str) -> list[Comparison]:
    """Compare each of `others` with `base`; `p_adjusted` is Holm-corrected over all of them that have a p."""
    found = [compare(base, other, order) for other in others]
    tested = [place for place, comparison in enumerate(found) if comparison.p is not None]
    corrected = holm.adjusted([p for c in found if (p := c.p) is not None])
    for place, p in zip(tested, corrected, strict=True):
        found[place] = replace(found[place], p_adjusted=p)
    return found


def compare_configurations(
    base: Configuration, others: Sequence[Configuration], figure: str, order: str
) -> list[Comparison]:
    """As `compare_all`, of one of `summary.METRIC_COLUMNS` of configurations; each says where it ran in another environment than `base`.

    Raises:
        ValueError: one of them has no such figure.
    """
    if lacking := next((c for c in (base, *others) if figure not in c.figures), None):
        raise ValueError(f"there is nothing to compare: {lacking.point or lacking.config_hash} has no {figure}")
    found = compare_all(base.figures[figure].by_cycle, [c.figures[figure].by_cycle for c in others], order)
    return [
        replace(one, unlike=unlike_environments(base.environment, other.environment))
        for one, other in zip(found, others, strict=True)
    ]


def _sides(base: Mapping[int, float], other: Mapping[int, float], order: str) -> tuple[bool, list[float], list[float]]:
    """The values that are compared, and whether they are paired; see `compare`."""
    if not base or not other:
        raise ValueError("there is nothing to compare: a configuration has no value")
    common = sorted(base.keys() & other.keys())
    if PAIRS_CYCLES.get(order, False) and len(common) >= FEWEST:
        return True, [base[cycle] for cycle in common], [other[cycle] for cycle in common]
    return False, list(base.values()), list(other.values())


def _moments(paired: bool, base: Sequence[float], other: Sequence[float]) -> Moments | None:
    return _paired(base, other) if paired else _unpaired(base, other)


def sample_variance(values: Sequence[float]) -> float:
    """The variance over n - 1 of two values or more: exactly 0 where they are equal.

    `statistics.variance` agrees to the last digits, computes in fractions, and takes twenty times as long.
    """
    middle = mean(values)
    deviations = [value - middle for value in values]
    # The mean is rounded: what the deviations sum up to is taken out again.
    rest = math.fsum(deviations) ** 2 / len(values)
    return max(0.0, math.fsum(d * d for d in deviations) - rest) / (len(values) - 1)


def _paired(base: Sequence[float], other: Sequence[float]) -> Moments:
    n = len(base)
    # The variance of the differences is exact where the variances of both are large and nearly cancel: the covariance follows.
    var_base, var_other = sample_variance(base), sample_variance(other)
    var_difference = sample_variance([b - a for a, b in zip(base, other, strict=True)])
    covariance = (var_base + var_other - var_difference) / 2
    return Moments(mean(base), mean(other), var_base / n, var_other / n, covariance / n, n - 1)


def _unpaired(base: Sequence[float], other: Sequence[float]) -> Moments | None:
    var_base = sample_variance(base) / len(base)
    var_other = sample_variance(other) / len(other)
    total = var_base + var_other
    if total <= 0:
        return None
    share = var_base / total
    df = 1 / (share**2 / (len(base) - 1) + (1 - share) ** 2 / (len(other) - 1))
    return Moments(mean(base), mean(other), var_base, var_other, 0.0, df)


def fieller(m: Moments, level: float = LEVEL) -> Interval | None:
    """The ratios θ for which other - θ base is not told from 0 (Fieller, Some problems in interval estimation, JRSS B 16, 1954)."""
    square = student.quantile(level, m.df) ** 2
    a = m.base**2 - square * m.var_base
    b = m.base * m.other - square * m.covariance
    c = m.other**2 - square * m.var_other
    if a <= 0:
        return None
    root = math.sqrt(max(0.0, b * b - a * c))
    return Interval((b - root) / a, (b + root) / a, "fieller", level)
