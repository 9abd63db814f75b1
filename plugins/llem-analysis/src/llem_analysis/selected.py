"""The best of several without the winner's curse, and who cannot be told from it. Pure functions over logarithms.

The lowest of many means is lowest by its luck as well. Its estimate is therefore moved towards the mean of all that could
have been chosen in its place, as James and Stein do (Efron and Morris, Data analysis using Stein's estimator, Journal of
the American Statistical Association 70, 1975), and its interval reaches as far towards them as holds for all of these at
once (Bonferroni). Where the winner is far ahead there are none, and both are Student's.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from llem_analysis import student
from llem_analysis.intervals import FEWEST, LEVEL, Interval, mean

UNEQUAL = 0.01
"""Below this p of Bartlett's test every configuration keeps its own variance."""


@dataclass(frozen=True)
class Noise:
    """Uncertainty of the means of several configurations, as logarithms.

    Attributes:
        own: variance of each mean that is its own; dfs: degrees of freedom of each.
        shared: variance that all means have in common, where cycles ran together.
        whole_df: of own and shared together.
    """

    own: tuple[float, ...]
    dfs: tuple[float, ...]
    shared: float
    whole_df: float

    def df_of(self, places: Sequence[int], weights: Sequence[float]) -> float:
        """Of a weighted sum of own variances (Satterthwaite, Biometrics Bulletin 2, 1946); pooled ones share theirs."""
        if self._alike:
            return self.dfs[0]
        parts = [(weight * self.own[i], self.dfs[i]) for i, weight in zip(places, weights, strict=True)]
        total = sum(part for part, _ in parts)
        below = sum(part**2 / df for part, df in parts)
        return total**2 / below if below else self.whole_df

    @cached_property
    def _alike(self) -> bool:
        """All means have one pooled variance."""
        return len(set(self.dfs)) == 1 and len(set(self.own)) == 1


@dataclass(frozen=True)
class Selected:
    """A quantity of the chosen one, corrected for having been chosen: a ratio or a value, no logarithm."""

    estimate: float
    interval: Interval


def noise_of(logs: Sequence[Mapping[int, float]], *, paired: bool) -> Noise | None:
    """The noise of configurations' means, from what their cycles vary by; None where no cycle tells it.

    Args:
        logs: of each configuration, cycle to the figure's logarithm.
        paired: the same cycle of all ran close together, so that what cycles share is no error of a difference.
    """
    values = [list(one.values()) for one in logs]
    df = sum(len(one) - 1 for one in values)
    if df < 1 or max(map(len, values)) < FEWEST:
        return None
    pooled = sum(_variance(one) * (len(one) - 1) for one in values if len(one) > 1) / df
    if pooled <= 0:
        return None
    if _unequal(values, pooled):
        # Never below what all vary by: few values that are close together by chance are no certainty.
        own = [max(_variance(one) if len(one) > 1 else 0.0, pooled) / len(one) for one in values]
        dfs = [float(max(1, len(one) - 1)) for one in values]
        return Noise(tuple(own), tuple(dfs), 0.0, min(dfs))
    cycles = sorted(logs[0])
    if paired and len(logs) > 1 and all(sorted(one) == cycles for one in logs):
        return _by_blocks([[one[c] for c in cycles] for one in logs])
    return Noise(tuple(pooled / len(one) for one in values), (float(df),) * len(values), 0.0, float(df))


def _variance(values: Sequence[float]) -> float:
    """The sample variance, of two values or more."""
    middle = mean(values)
    return math.fsum((value - middle) ** 2 for value in values) / (len(values) - 1)


def _by_blocks(values: Sequence[Sequence[float]]) -> Noise | None:
    """Cycles as blocks: what they share is in every mean alike, and in no difference."""
    k, n = len(values), len(values[0])
    rows = [mean(one) for one in values]
    columns = [mean([one[c] for one in values]) for c in range(n)]
    middle = mean(rows)
    left = sum((values[i][c] - rows[i] - columns[c] + middle) ** 2 for i in range(k) for c in range(n))
    df = (k - 1) * (n - 1)
    error = left / df
    between = k * sum((column - middle) ** 2 for column in columns) / (n - 1)
    if error <= 0:
        return None
    own = (error / n,) * k
    if between <= error:
        return Noise(own, (float(df),) * k, 0.0, float(df))
    first, second = between / k, error * (k - 1) / k
    whole_df = (first + second) ** 2 / (first**2 / (n - 1) + second**2 / df)
    return Noise(own, (float(df),) * k, (between - error) / k / n, whole_df)


def _unequal(values: Sequence[Sequence[float]], pooled: float) -> bool:
    """Bartlett's test that variances are equal (Proceedings of the Royal Society A 160, 1937)."""
    several = [one for one in values if len(one) > 1]
    if len(several) < 2 or any(_variance(one) <= 0 for one in several):
        return False
    dfs = [len(one) - 1 for one in several]
    total, k = sum(dfs), len(several)
    found = total * math.log(pooled) - sum(df * math.log(_variance(one)) for df, one in zip(dfs, several, strict=True))
    found /= 1 + (sum(1 / df for df in dfs) - 1 / total) / (3 * (k - 1))
    # Wilson and Hilferty's normal form of χ²: good to a thousandth where it decides.
    free = k - 1
    z = ((max(found, 0.0) / free) ** (1 / 3) - (1 - 2 / (9 * free))) / math.sqrt(2 / (9 * free))
    return 1 - statistics.NormalDist().cdf(z) < UNEQUAL


def contenders(means: Sequence[float], noise: Noise, best: int) -> list[int]:
    """Those that cycles do not tell from the lowest, itself among them.

    With 95 % they hold the one that is lowest in truth (Gupta, On some multiple decision rules, Technometrics 7, 1965).
    """
    others = len(means) - 1
    return [i for i in range(len(means)) if i == best or not is_told_lower(means, noise, best, i, others)]


def chosen_value(means: Sequence[float], noise: Noise, best: int) -> Selected:
    """The figure of the one whose mean is lowest, corrected for that. `means` are logarithms; lower is better."""
    near = contenders(means, noise, best)
    df = noise.whole_df if noise.shared else noise.df_of([best], [1.0])
    return _selected(means[best], _shrunken(means, noise, best, near), noise.own[best] + noise.shared, df, len(near))


def chosen_ratio(means: Sequence[float], noise: Noise, best: int, reference: Sequence[int]) -> Selected:
    """The figure of the lowest over that of others (their geometric mean), corrected for its having been chosen."""
    near, share = contenders(means, noise, best), 1 / len(reference)
    middle = sum(means[i] for i in reference) * share
    variance = noise.own[best] + sum(noise.own[i] for i in reference) * share**2
    df = noise.df_of([best, *reference], [1.0, *[share**2] * len(reference)])
    estimate = _shrunken(means, noise, best, near) - middle
    return _selected(means[best] - middle, estimate, variance, df, len(near))


def _shrunken(means: Sequence[float], noise: Noise, best: int, near: Sequence[int]) -> float:
    """The lowest mean, moved towards that of the contenders by as much of their spread as noise accounts for."""
    if len(near) < 2:
        return means[best]
    found = [means[i] for i in near]
    middle, expected = mean(found), sum(noise.own[i] for i in near) / len(near)
    spread = sum((one - middle) ** 2 for one in found)
    kept = max(0.0, 1 - max(1, len(near) - 3) * expected / spread) if spread > 0 else 0.0
    return middle + kept * (means[best] - middle)


def _selected(observed: float, estimate: float, variance: float, df: float, several: int) -> Selected:
    """Luck makes a chosen figure too low, never too high: the interval is wider on the upper side alone."""
    error = math.sqrt(variance)
    low = observed - student.quantile(LEVEL, df) * error
    high = observed + student.quantile(1 - (1 - LEVEL) / several, df) * error
    return Selected(math.exp(min(max(estimate, low), high)), Interval(math.exp(low), math.exp(high), "selected"))


def log_interval(values: Sequence[float]) -> Interval | None:
    """The 95 % interval of a positive figure, by t over logarithms: it never reaches 0. None for fewer than 3 values."""
    if len(values) < FEWEST:
        return None
    logs = [math.log(value) for value in values]
    middle = mean(logs)
    half = student.quantile(LEVEL, len(logs) - 1) * statistics.stdev(logs) / math.sqrt(len(logs))
    return Interval(math.exp(middle - half), math.exp(middle + half), "t")


def is_told_lower(means: Sequence[float], noise: Noise, one: int, other: int, comparisons: int) -> bool:
    """True where cycles tell that one is below another, among so many comparisons (Bonferroni; one-sided, 5 % in all)."""
    df = noise.df_of([one, other], [1.0, 1.0])
    margin = student.quantile(1 - 2 * (1 - LEVEL) / max(comparisons, 1), df)
    return means[other] - means[one] > margin * math.sqrt(noise.own[one] + noise.own[other])
