"""The 95 % interval of a mean over few values, such as a configuration's cycles. Pure functions over numbers.

Two are computed. The bootstrap is the expanded percentile method; the other is Student's t. Which one is shown follows
from what a bootstrap can do: its means never leave the range of the values, and the range of n values holds the middle
of what they come from with probability 1 - 2^(1 - n) at most. Below 6 values that is less than 95 %: there t is shown.
docs/method/statistics.md has the coverage of each, measured.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from llem.plugin_api import array_of, buffer_of
from llem_analysis import student

if TYPE_CHECKING:
    import pyarrow as pa

LEVEL = 0.95
RESAMPLES = 10_000
SEED = 42

FEWEST = 3
"""Fewer values than this give no interval."""

BOOTSTRAP_FROM = 6
"""From so many values on the bootstrap is shown: the smallest n with 1 - 2^(1 - n) of at least 95 %."""

BOOTSTRAP_TO = 1_000
"""For more values than this only t is computed: the two agree by then, and resampling would take seconds."""


MOST_KEPT = 64
"""The draws of so many values are kept in memory, 40 kB for each."""


@dataclass(frozen=True)
class Interval:
    """An interval of a mean, in the unit of the values.

    Attributes:
        method: `bootstrap` (expanded percentile), `t`, `fieller` (of a ratio), or `selected` (of the best of several).
        resamples, seed: of the bootstrap, with which it can be drawn again; None for t.
    """

    low: float
    high: float
    method: Literal["bootstrap", "t", "fieller", "selected"]
    level: float = LEVEL
    resamples: int | None = None
    seed: int | None = None

    @property
    def width(self) -> float:
        """From end to end."""
        return self.high - self.low


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean of one value or more, never outside their range."""
    # The rounding of a mean may carry it past an extreme: of equal values it is that value.
    return min(max(math.fsum(values) / len(values), min(values)), max(values))


def sd(values: Sequence[float]) -> float | None:
    """The sample standard deviation, over n - 1; None for a single value."""
    return statistics.stdev(values) if len(values) > 1 else None


def interval(values: Iterable[float], *, seed: int = SEED) -> Interval | None:
    """The interval to show: the bootstrap from 6 values on, t below; None for fewer than 3 values."""
    found = tuple(values)
    if BOOTSTRAP_FROM <= len(found) <= BOOTSTRAP_TO:
        return bootstrap_interval(found, seed=seed)
    return t_interval(found)


def t_interval(values: Sequence[float]) -> Interval | None:
    """mean ± t sd / √n (Student, The probable error of a mean, Biometrika 6, 1908); None for fewer than 3 values.

    Exact where the values are normal and independent.
    """
    n = len(values)
    if n < FEWEST:
        return None
    middle = mean(values)
    half = student.quantile(LEVEL, n - 1) * statistics.stdev(values) / math.sqrt(n)
    return Interval(middle - half, middle + half, "t")


def bootstrap_interval(values: Sequence[float], *, resamples: int = RESAMPLES, seed: int = SEED) -> Interval | None:
    """The expanded percentile bootstrap interval of the mean; None for fewer than 3 values, or more than 1,000.

    Percentiles of the means of resamples, taken further out than 2.5 % and 97.5 %: at Φ(-√(n / (n - 1)) t), which makes
    up for the bootstrap's deviation being over n and for the normal's narrower tails (Hesterberg, What teachers should
    know about the bootstrap, The American Statistician 69(4), 2015, section 5). The order of the values has no effect.
    """
    n = len(values)
    if not FEWEST <= n <= BOOTSTRAP_TO:
        return None
    middle = mean(values)
    low, high = resampled_quantiles(values, expanded_tail(n), resamples=resamples, seed=seed)
    return Interval(
        min(max(middle + low, min(values)), middle),
        max(min(middle + high, max(values)), middle),
        "bootstrap",
        resamples=resamples,
        seed=seed,
    )


def expanded_tail(n: int) -> float:
    """The share of resampled means that is cut off at each end: 0.025 for many values, less for few."""
    return statistics.NormalDist().cdf(-math.sqrt(n / (n - 1)) * student.quantile(LEVEL, n - 1))


def resampled_quantiles(
    values: Sequence[float], tail: float, *, resamples: int = RESAMPLES, seed: int = SEED
) -> tuple[float, float]:
    """The quantiles `tail` and 1 - `tail` of the means of resamples, as differences from the mean of the values."""
    import pyarrow.compute as pc

    quantiles: Any = pc.quantile
    low, high = quantiles(resampled_means(values, resamples, seed), q=[tail, 1 - tail]).to_pylist()
    return low, high


def resampled_means(values: Sequence[float], resamples: int = RESAMPLES, seed: int = SEED) -> pa.Array[Any]:
    """The mean of each resample, as its difference from the mean of the values."""
    import pyarrow as pa
    import pyarrow.compute as pc

    n, middle = len(values), mean(values)
    # Differences keep the digits that a small spread around a large mean has; sorted, the order given has no effect.
    differences = array_of(sorted(value - middle for value in values), pa.float64())
    columns = iter(draws(n, resamples, seed))
    total: Any = differences.take(next(columns))
    for column in columns:
        total = pc.add(total, differences.take(column))
    means: pa.Array[Any] = pc.divide(total, float(n))
    return means


def draws(n: int, resamples: int, seed: int) -> Iterable[pa.Array[Any]]:
    """n columns of `resamples` indices from 0 to n - 1: the k-th draw of every resample. The same for every figure."""
    # Kept where they are small: all figures of a study share them. Else each is drawn as it is asked for, and never all are there.
    return _kept_draws(n, resamples, seed) if n <= MOST_KEPT else _new_draws(n, resamples, seed)


@lru_cache(maxsize=32)
def _kept_draws(n: int, resamples: int, seed: int) -> Sequence[pa.Array[Any]]:
    return tuple(_new_draws(n, resamples, seed))


def _new_draws(n: int, resamples: int, seed: int) -> Iterator[pa.Array[Any]]:
    import pyarrow as pa
    import pyarrow.compute as pc

    generator = random.Random(seed)
    for _ in range(n):
        data = buffer_of(generator.randbytes(4 * resamples))
        numbers = pa.Array.from_buffers(pa.uint32(), resamples, [None, data])
        share = pc.multiply(numbers.cast(pa.float64()), n / 2**32)
        yield pc.floor(share).cast(pa.int32())
