"""The mean of each configuration with what cycles and places in them add taken out, and the error of any contrast of them.

Model: the logarithm of a value is its configuration's mean, plus what its cycle adds (a block), plus a slope over the place
in the cycle where the order lets it be told from the configurations, plus noise. Each configuration has a noise of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from llem_analysis.timeline import Timeline

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_STEADY = 1e-9
"""Values whose logarithms vary by less than this from cycle to cycle do not vary."""

_MOST_RUNS = 1_500
"""Above so many runs each configuration's residuals count as independent of the others', which they are by then."""


@dataclass(frozen=True)
class Estimate:
    """A weighted sum of runs with its error.

    Attributes:
        variance: of `value`; None where the values do not vary from cycle to cycle, or cycles do not tell.
        df: its degrees of freedom.
    """

    value: float
    variance: float | None
    df: float

    def half_width(self, level: float) -> float | None:
        """Half of its interval by Student's t."""
        from scipy.special import stdtrit

        if self.variance is None:
            return None
        return float(stdtrit(self.df, (1 + level) / 2)) * math.sqrt(self.variance)

    @property
    def p(self) -> float | None:
        """Two-sided, that the sum is 0."""
        from scipy.special import stdtr

        return None if self.variance is None else float(2 * stdtr(self.df, -abs(self.value) / math.sqrt(self.variance)))


class CellMeans:
    """Means of configurations, adjusted for cycle and place, and the error of contrasts.

    The variance of a contrast is the sum of its configurations' own (no equality is taken for granted), each from the
    residuals of its runs about configuration and block: (residual sum of squares) / (its part of the degrees of freedom).
    Degrees of freedom are Satterthwaite's (Biometrics Bulletin 2, 1946), with the correlation that shared blocks bring.
    """

    def __init__(self, logs: Floats, cell: NDArray[np.int64], size: int, timeline: Timeline) -> None:
        import numpy as np

        self.logs, self.cell, self.size, self.timeline = logs, cell, size, timeline
        self.counts = np.bincount(cell, minlength=size)
        raw = np.bincount(cell, weights=logs, minlength=size) / self.counts
        columns = timeline.columns
        middle: Floats = np.zeros((size, columns.shape[1]))
        np.add.at(middle, cell, columns)
        middle /= self.counts[:, None]
        inside: Floats = columns - middle[cell]
        self._moved: Floats = middle - columns.mean(axis=0)
        solve = np.linalg.pinv(inside, rcond=1e-9) if inside.size else np.zeros((0, len(logs)))
        self._solve: Floats = solve.astype(np.float64)
        slopes = self._solve @ logs
        self.means: Floats = raw - self._moved @ slopes
        residual = logs - raw[cell] - inside @ slopes
        self._leverage = 1 / self.counts[cell] + (inside * self._solve.T).sum(axis=1)
        self._inside = inside
        self.df = round(float(len(logs) - self._leverage.sum()))
        self.part: Floats = np.bincount(cell, weights=1 - self._leverage, minlength=size).astype(np.float64)
        squares = np.bincount(cell, weights=residual**2, minlength=size)
        self.pooled = float(squares.sum() / self.df) if self.df > 0 else None
        self._own = self.part >= 0.5
        self.variances: Floats = np.where(
            self._own, squares / np.where(self._own, self.part, 1.0), self.pooled or 0.0
        ).astype(np.float64)

    @property
    def repeats(self) -> bool:
        """There is repetition: cycles tell how much values vary by themselves."""
        return self.pooled is not None

    @property
    def varies(self) -> bool:
        """Values vary from cycle to cycle."""
        return self.pooled is not None and math.sqrt(self.pooled) > _STEADY

    @property
    def of_means(self) -> Floats:
        """Variances of the means."""
        found: Floats = self.variances / self.counts
        return found

    def in_blocks(self) -> CellMeans:
        """The same with only what cycles add taken out, as in an analysis of variance of randomised blocks."""
        return self if self.timeline.place is None else CellMeans(self.logs, self.cell, self.size, self.timeline.blocks)

    def weights(self, rows: Floats) -> Floats:
        """Weight of each run in these sums of the configurations' means: (sums, runs)."""
        found: Floats = (rows / self.counts)[:, self.cell] - (rows @ self._moved) @ self._solve
        return found

    def estimate(self, row: Floats) -> Estimate:
        """One weighted sum of the configurations' means."""
        return self._estimate(float(row @ self.means), self.weights(row[None, :]))

    def slope(self) -> Estimate | None:
        """Ratio of the last place of a cycle to the first; None where the order does not let it be told."""
        if self.timeline.place is None:
            return None
        row = self._solve[self.timeline.place : self.timeline.place + 1]
        return self._estimate(float(row[0] @ self.logs), row)

    def p_of_all(self, rows: Floats) -> float | None:
        """P that all these sums are 0 together, by the ANOVA-type statistic, which asks for no equal variances.

        Source: Brunner, Dette and Munk, Box-type approximations in nonparametric factorial designs, Journal of the American
        Statistical Association 92 (1997). With equal variances and complete blocks it is near the F test.
        """
        import numpy as np
        from scipy.special import fdtrc

        if not self.varies:
            return None
        _, sizes, basis = np.linalg.svd(rows, full_matrices=False)
        basis = basis[sizes > 1e-9 * sizes[0]]
        weights = self.weights(basis)
        spread = (weights * self.variances[self.cell]) @ weights.T
        whole = float(np.trace(spread))
        if whole <= 0:
            return None
        first = whole**2 / float((spread**2).sum())
        statistic = float(((basis @ self.means) ** 2).sum()) / whole
        return float(fdtrc(first, self._df(self._parts(weights)), statistic))

    def _estimate(self, value: float, weights: Floats) -> Estimate:
        if not self.varies:
            return Estimate(value, None, 0.0)
        parts = self._parts(weights)
        variance = float(parts.sum())
        return Estimate(value, variance if variance > 0 else None, self._df(parts))

    def _parts(self, weights: Floats) -> Floats:
        """Contribution of each configuration to the variance, summed over the rows of weights."""
        import numpy as np

        squares = np.bincount(self.cell, weights=(weights**2).sum(axis=0), minlength=self.size)
        found: Floats = squares * self.variances
        return found

    def _df(self, parts: Floats) -> float:
        import numpy as np

        own = np.where(self._own, parts, 0.0)
        borrowed = float(parts.sum() - own.sum())
        shared = self._shared
        below = float(own @ shared @ own) if shared.ndim == 2 else float((own**2 * shared).sum())
        below += borrowed**2 / max(1, self.df)
        found = float(parts.sum()) ** 2 / below if below > 0 else self.df
        return float(min(self.df, max(found, min(1.0, self.df))))

    @cached_property
    def _shared(self) -> Floats:
        """For each pair of configurations, half of the relative covariance of their variances' errors; 1 / df of each where they are many."""
        import numpy as np

        part = np.where(self._own, self.part, 1.0)
        if len(self.logs) > _MOST_RUNS:
            alone: Floats = 1 / part
            return alone
        same = self.cell[:, None] == self.cell[None, :]
        left = np.eye(len(self.logs)) - same / self.counts[self.cell] - self._inside @ self._solve
        by_cell = np.zeros((self.size, len(self.logs)))
        np.add.at(by_cell, self.cell, left**2)
        squares = np.zeros((self.size, self.size))
        np.add.at(squares.T, self.cell, by_cell.T)
        both: Floats = squares / np.outer(part, part)
        return both
