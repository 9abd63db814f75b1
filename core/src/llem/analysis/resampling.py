"""Cycles drawn again: how far the configurations' means, and whatever is computed of them, would move.

Each configuration's cycles are drawn with replacement from its own, as deviations from their mean, widened by
√(n / (n - 1)) so that their variance is the unbiased one (Davison and Hinkley, Bootstrap Methods and their Application,
1997, section 2.3). A configuration with a single value has no deviations: it takes its draws from all the others'.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llem.analysis import student
from llem.analysis.intervals import BOOTSTRAP_TO, LEVEL, RESAMPLES, SEED

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FEWER = 1_000
"""Resamples where a study has more values than `BOOTSTRAP_TO`."""


@dataclass(frozen=True)
class Cycles:
    """The values of each configuration over its cycles.

    Attributes:
        means: of each configuration; counts: its number of values.
        variances: of each one's values, over n - 1; the pooled one where there is a single value.
        pooled: variance between cycles over all configurations; None where none has two values.
        df: degrees of freedom of `pooled`.
    """

    values: tuple[tuple[float, ...], ...]
    means: Floats
    counts: NDArray[np.int64]
    variances: Floats
    pooled: float | None
    df: int

    @property
    def of_means(self) -> Floats:
        """Variances of the means."""
        found: Floats = self.variances / self.counts
        return found

    @property
    def resamples(self) -> int:
        """How many are drawn."""
        return RESAMPLES if int(self.counts.sum()) <= BOOTSTRAP_TO else FEWER


def cycles_of(values: Sequence[Sequence[float]]) -> Cycles:
    """Bring the values of each configuration together."""
    import numpy as np

    counts = np.array([len(v) for v in values])
    means = np.array([math.fsum(v) / len(v) for v in values])
    own = np.array([statistics.variance(v) if len(v) > 1 else 0.0 for v in values])
    df = int((counts - 1).sum())
    pooled = float((own * (counts - 1)).sum() / df) if df else None
    variances = np.where(counts > 1, own, pooled or 0.0)
    return Cycles(tuple(tuple(v) for v in values), means, counts, variances, pooled, df)


def deviations(cycles: Cycles, seed: int = SEED) -> Floats:
    """Deviations of the configurations' means: (configurations, resamples)."""
    import numpy as np

    generator = np.random.default_rng(seed)
    widened = [
        (np.array(v) - m) * math.sqrt(len(v) / (len(v) - 1)) if len(v) > 1 else None
        for v, m in zip(cycles.values, cycles.means, strict=True)
    ]
    pool = np.concatenate([w for w in widened if w is not None])
    found = np.empty((len(widened), cycles.resamples))
    for row, own in enumerate(widened):
        source, n = (pool, 1) if own is None else (own, len(own))
        draws = generator.integers(0, source.size, (cycles.resamples, n), dtype=np.int32)
        found[row] = source[draws].mean(axis=1)
    return found


def tail(df: float, level: float = LEVEL) -> float:
    """The share cut off at each end: as much as a normal of the bootstrap's deviation has beyond Student's t for `df`.

    Takes the percentiles further out for few degrees of freedom (Hesterberg, The American Statistician 69(4), 2015).
    """
    return statistics.NormalDist().cdf(-student.quantile(level, df))


def satterthwaite(parts: Floats, counts: NDArray[np.int64]) -> float:
    """Degrees of freedom of a sum of variances of means (Satterthwaite, Biometrics Bulletin 2, 1946).

    Args:
        parts: what each configuration adds to the variance.
    """
    import numpy as np

    lasting = counts > 1
    bottom = float(np.sum(parts[lasting] ** 2 / (counts[lasting] - 1)))
    return float(parts.sum() ** 2 / bottom) if bottom > 0 else math.inf
