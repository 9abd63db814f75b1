"""The mean of each configuration with what cycles and places in them add taken out, and the error of any contrast of them.

Model: the logarithm of a value is its configuration's mean, plus what its cycle adds (a block), plus a slope over the place
in the cycle where the order lets it be told from the configurations, plus noise. Each configuration has a noise of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from llem_analysis.run_layout import RunLayout
from llem_analysis.sums import Folded, Sums

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_STEADY = 1e-9
"""Values whose logarithms vary by less than this from cycle to cycle do not vary."""

_AT_ONCE = 1_000_000
"""Number of weights that are laid out together: bounds the memory."""


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

    def __init__(self, logs: Floats, layout: RunLayout) -> None:
        import numpy as np

        self.logs, self.layout, self.size, self.counts = logs, layout, layout.size, layout.counts
        covariates = layout.covariates
        raw = np.bincount(layout.cell, weights=logs, minlength=self.size) / self.counts
        slopes = covariates.slopes(logs)
        self.means: Floats = raw - covariates.moved @ slopes
        residual = logs - raw[layout.cell] - covariates.at(slopes[None, :])[0]
        squares = np.bincount(layout.cell, weights=residual**2, minlength=self.size)
        self.pooled = float(squares.sum() / layout.df) if layout.df > 0 else None
        self.variances: Floats = np.where(
            layout.own, squares / np.where(layout.own, layout.part, 1.0), self.pooled or 0.0
        ).astype(np.float64)

    @property
    def df(self) -> int:
        """Degrees of freedom of the noise."""
        return self.layout.df

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
        layout = self.layout.in_blocks
        return self if layout is self.layout else CellMeans(self.logs, layout)

    def weights(self, rows: Floats) -> Floats:
        """Weight of each run in these sums of the configurations' means: (sums, runs)."""
        found: Floats = (rows / self.counts)[:, self.layout.cell] - self.layout.covariates.at(self._slopes(rows))
        return found

    def estimate(self, row: Floats) -> Estimate:
        """One weighted sum of the configurations' means."""
        return self.estimates(Sums.of_rows(row[None, :]))[0]

    def estimates(self, sums: Sums) -> list[Estimate]:
        """Weighted sums of the configurations' means."""
        values = sums.of(self.means).tolist()
        if not self.varies:
            # Nothing but rounding makes a difference of values that are equal.
            return [Estimate(value if abs(value) > _STEADY else 0.0, None, 0.0) for value in values]
        found = []
        many = max(1, _AT_ONCE // len(self.logs))
        for start in range(0, sums.n, many):
            rows = sums.rows(start, min(start + many, sums.n), self.size)
            squares = rows**2 / self.counts + self.layout.covariates.squared_by_cell(self._slopes(rows))
            found += self._estimates(values[start : start + many], squares * self.variances)
        return found

    def slope(self) -> Estimate | None:
        """Ratio of the last place of a cycle to the first; None where the order does not let it be told."""
        import numpy as np

        covariates = self.layout.covariates
        if self.layout.timeline.place is None:
            return None
        value = float(covariates.slopes(self.logs)[-1])
        if not self.varies:
            return Estimate(value, None, 0.0)
        squares = covariates.squared_by_cell(covariates.inverse[-1:])
        return self._estimates(np.array([value]).tolist(), squares * self.variances)[0]

    def p_of_all(self, rows: Floats) -> float | None:
        """P that all these sums are 0 together."""
        return self.p_of_basis(Folded.of_rows(rows).basis()) if self.varies else None

    def p_of_basis(self, basis: Folded) -> float | None:
        """P that every sum of a space is 0, by the ANOVA-type statistic, which asks for no equal variances.

        Source: Brunner, Dette and Munk, Box-type approximations in nonparametric factorial designs, Journal of the American
        Statistical Association 92 (1997). With equal variances and complete blocks it is near the F test.

        Args:
            basis: orthonormal, of the space.
        """
        import numpy as np
        from scipy.special import fdtrc

        if not self.varies:
            return None
        covariates = self.layout.covariates
        slopes = basis.of(covariates.moved) @ covariates.inverse
        # What covariates add to the runs of one configuration sums to 0, so that the two parts of each weight do not meet.
        spread = (basis.weights * basis.folded(self.of_means)) @ basis.weights.T
        spread += slopes @ self._noise_of_covariates @ slopes.T
        whole = float(np.trace(spread))
        if whole <= 0:
            return None
        squares = basis.spread((basis.weights**2).sum(axis=0)) / self.counts
        squares += np.bincount(self.layout.cell, covariates.quadratic(slopes.T @ slopes), minlength=self.size)
        first = whole**2 / float((spread**2).sum())
        statistic = float((basis.of(self.means) ** 2).sum()) / whole
        return float(fdtrc(first, self._dfs((squares * self.variances)[None, :])[0], statistic))

    @cached_property
    def _noise_of_covariates(self) -> Floats:
        """Products of the covariates over runs, each with its variance."""
        return self.layout.covariates.squares(self.variances)

    def _slopes(self, rows: Floats) -> Floats:
        """Slopes that take out of these sums what covariates add to them: (sums, columns)."""
        found: Floats = (rows @ self.layout.covariates.moved) @ self.layout.covariates.inverse
        return found

    def _estimates(self, values: list[float], parts: Floats) -> list[Estimate]:
        """Estimates of these values, of each configuration's contributions to their variances."""
        return [
            Estimate(value, variance if variance > 0 else None, df)
            for value, variance, df in zip(values, parts.sum(axis=1).tolist(), self._dfs(parts), strict=True)
        ]

    def _dfs(self, parts: Floats) -> list[float]:
        """Degrees of freedom of sums, of each configuration's contributions to their variances: (sums, configurations)."""
        import numpy as np

        own = np.where(self.layout.own, parts, 0.0)
        whole = parts.sum(axis=1)
        borrowed = whole - own.sum(axis=1)
        shared = self.layout.shared
        below = ((own @ shared) * own).sum(axis=1) if shared.ndim == 2 else own**2 @ shared
        below = below + borrowed**2 / max(1, self.df)
        found = np.divide(whole**2, below, out=np.full(len(parts), float(self.df)), where=below > 0)
        clipped: list[float] = np.minimum(self.df, np.maximum(found, min(1.0, self.df))).tolist()
        return clipped
