"""Shares of the variance between configurations, with intervals, for designs where every combination is there."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from llem_analysis import student, totals
from llem_analysis.cell_means import CellMeans
from llem_analysis.decomposition import Decomposition
from llem_analysis.intervals import LEVEL, Interval
from llem_analysis.margins import Margins

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

DRAWS = 2_000
"""Number of draws of the means from their errors for the interval of a share."""

FEWEST_DF = 4
"""Shares have no interval where cycles leave fewer degrees of freedom than this for their own variation."""

_DRAWN = 2_000_000
"""Number of values drawn together. The draws depend on it, and with them the intervals."""

_AT_ONCE = 200_000
"""Number of values that shares are computed of together: as many as a processor's cache holds."""


@dataclass(frozen=True)
class Shares:
    """Share that each term explains.

    Attributes:
        alone: by the members of a term: first order.
        in_all: by parameter: with every interaction that it takes part in.
        within: by parameter that only one backend has: first order, of the variance within this backend.
        sd: standard deviation between configurations, of logarithms.
    """

    alone: Mapping[tuple[str, ...], float]
    in_all: Mapping[str, float]
    within: Mapping[str, float]
    intervals: Mapping[Any, Interval]
    sd: float

    @property
    def unexplained(self) -> float | None:
        """Share that no term explains; None where there is nothing to explain."""
        return max(0.0, 1 - sum(self.alone.values())) if self.alone else None


def shares(split: Decomposition, means: CellMeans, seed: int) -> Shares:
    """Shares with their expected part of noise taken off, as ε² does in a balanced analysis of variance."""
    return _Shares(split, means, seed).result()


class _Shares:
    def __init__(self, split: Decomposition, means: CellMeans, seed: int) -> None:
        import numpy as np

        self.split, self.seed, self.df = split, seed, means.df if means.varies else 0
        # About their mean: squares keep the digits that a small spread has.
        self.means = (means.means - means.means.mean())[:, None]
        self.noise = means.of_means if means.varies else np.zeros(means.size)
        margins = split.margins(self.noise[:, None])
        self.noise_of = {members: term.noise(margins) for members, term in split.terms.items()}
        self.total_noise = {name: totals.total_noise(split, name, self.noise) for name in split.space.levels}

    def result(self) -> Shares:
        import numpy as np

        margins = self.split.margins(self.means)
        found = self._shares(margins, excess=1)
        intervals = self._intervals() if self.df >= FEWEST_DF and found else {}
        held = {key: _holding(one, float(found[key][0])) for key, one in intervals.items()}
        nested = [name for name, column in self.split.space.levels.items() if (column < 0).any()]
        within = {name: share for name in nested if found and (share := self._within(name, margins)) is not None}
        total = float(self._total(margins, excess=1)[0])
        return Shares(
            alone={key: float(share[0]) for key, share in found.items() if isinstance(key, tuple)},
            in_all={key: float(share[0]) for key, share in found.items() if isinstance(key, str)},
            within=within,
            intervals=held,
            sd=float(np.sqrt(max(0.0, total))),
        )

    def _total(self, margins: Margins, excess: int) -> Floats:
        """Variance between configurations; `excess` times what cycles add to it on average is taken off."""
        measure, grids = self.split.measure, self.split.grids
        middle = measure @ margins.values
        spread: Floats = sum(grid.weight * margins.squares(number) for number, grid in enumerate(grids)) - middle**2
        return spread - excess * float(measure @ self.noise - measure**2 @ self.noise)

    def _variance(self, members: tuple[str, ...], margins: Margins, excess: int) -> Floats:
        import numpy as np

        term = self.split.terms[members]
        found: Floats = np.maximum(0.0, term.variance(margins) - excess * self.noise_of[members])
        return found

    def _shares(self, margins: Margins, excess: int) -> dict[Any, Floats]:
        """Share of each term by its members, and of each parameter in all by its name. Empty where nothing is left to explain."""
        import numpy as np

        total = self._total(margins, excess)
        if float(total.min()) <= 0 and total.size == 1:
            return {}
        total = np.where(total > 0, total, np.nan)
        found: dict[Any, Floats] = {}
        for members in self.split.terms:
            found[members] = np.minimum(1.0, self._variance(members, margins, excess) / total)
        for name in self.split.space.levels:
            found[name] = np.clip(self._in_all(name, margins, excess) / total, found[name,], 1.0)
        return found

    def _in_all(self, name: str, margins: Margins, excess: int) -> Floats:
        space = self.split.space
        found = totals.total_variance(self.split, name, margins) - excess * self.total_noise[name]
        if name == space.gate:
            pairs = [p for p in self.split.terms if len(p) == 2 and name in p]
            nested = [p for p in pairs if any((space.levels[n] < 0).any() for n in p)]
            found = found + sum(self._variance(p, margins, excess) for p in nested)
        return found

    def _within(self, name: str, margins: Margins) -> float | None:
        """First order, of the variance between the configurations that have this parameter."""
        inside = self.split.space.within((name,))
        means, noise = self.means[inside, 0], self.noise[inside]
        spread = float(((means - means.mean()) ** 2).mean() - noise.mean() * (1 - 1 / len(means)))
        own = float(self._variance((name,), margins, 1)[0]) / self.split.terms[name,].weight
        return min(1.0, own / spread) if spread > 0 else None

    def _intervals(self) -> dict[Any, Interval]:
        """Percentiles over means drawn from their errors, taken as far out as Student's t asks for."""
        import numpy as np

        generator = np.random.default_rng(self.seed)
        errors = np.sqrt(self.noise)[:, None]
        drawn: dict[Any, list[Floats]] = {}
        most, together = max(1, _DRAWN // len(errors)), max(1, _AT_ONCE // len(errors))
        for start in range(0, DRAWS, most):
            size = min(most, DRAWS - start)
            normal = generator.standard_normal((len(errors), size))
            for first in range(0, size, together):
                # The noise is in the means already, and drawn once more: twice its part is taken off.
                values = self.means + errors * normal[:, first : first + together]
                for key, share in self._shares(self.split.margins(values), excess=2).items():
                    drawn.setdefault(key, []).append(share)
        cut = statistics.NormalDist().cdf(-student.quantile(LEVEL, self.df))
        found = {}
        for key, parts in drawn.items():
            share = np.concatenate(parts)
            share = share[~np.isnan(share)]
            if share.size:
                low, high = np.quantile(share, [cut, 1 - cut])
                found[key] = Interval(float(low), float(high), "bootstrap", resamples=DRAWS, seed=self.seed)
        return found


def _holding(found: Interval, share: float) -> Interval:
    """An interval of a share holds the share, which drawing around a bound at 0 could push out."""
    return replace(found, low=max(0.0, min(found.low, share)), high=min(1.0, max(found.high, share)))
