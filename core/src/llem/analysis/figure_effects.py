"""One figure of a study: effects and interactions of its parameters, with shares of variance, intervals and tests."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llem.analysis import contrasts, holm, resampling, totals
from llem.analysis.decomposition import decompose
from llem.analysis.design import Configured
from llem.analysis.effect_models import Cell, Effect, FigureAnalysis, Interaction, Parameter, Scale
from llem.analysis.figures import FigureSpec
from llem.analysis.intervals import Interval
from llem.analysis.resampling import Cycles
from llem.analysis.space import Decomposition, make_space

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FEWEST_DF = 4
"""Shares have no interval where cycles leave fewer degrees of freedom than this for their own variation."""

_AT_ONCE = 500
"""Resamples whose shares are computed together: bounds the memory."""


def analyse_figure(
    spec: FigureSpec, configurations: Sequence[Configured], parameters: Sequence[Parameter], scale: Scale, seed: int
) -> FigureAnalysis | None:
    """The analysis of one figure; None where no configuration has it.

    Args:
        scale: `log` takes the figure's logarithm: means become geometric ones, and effects that multiply add up.
    """
    found = [(c, [float(v) for row in c.rows if (v := row.get(spec.column)) is not None]) for c in configurations]
    found = [(c, values) for c, values in found if values]
    if not found:
        return None
    kinds = {kind for c, _ in found for row in c.rows if (kind := _kind(row, spec)) is not None}
    head = FigureAnalysis(
        name=spec.name,
        label=spec.label,
        unit=spec.unit,
        better=spec.better,
        scale=scale,
        configurations=len(found),
        values=sum(len(values) for _, values in found),
        estimated=any(method == "estimate" for _, method in kinds),
    )
    if len(kinds) == 1:
        ((scope, method),) = kinds
        head = replace(head, scope=scope, method=method)
    if reason := _cannot(found, kinds, scale):
        return replace(head, reason=reason)
    values = [[math.log(v) for v in one] if scale == "log" else one for _, one in found]
    space = make_space(parameters, [c.levels for c, _ in found])
    if not space.levels:
        return replace(head, reason="no parameter has two values among the configurations that have this figure")
    cycles = resampling.cycles_of(values)
    split = decompose(space, cycles.counts.astype(float))
    return _Analysis(head, split, cycles, seed).result()


def _kind(row: Mapping[str, Any], spec: FigureSpec) -> tuple[str | None, str] | None:
    method = row.get("energy.headline.method")
    return (row.get("energy.headline.scope"), method) if spec.energy and method is not None else None


def _cannot(found: Sequence[Any], kinds: set[Any], scale: Scale) -> str | None:
    if len(kinds) > 1:
        named = " and ".join(sorted(f"{scope} {method}" for scope, method in kinds))
        return f"it was found by different methods ({named}), which are never brought together"
    if len(found) < 2:
        return "only one configuration has it"
    if scale == "log" and any(v <= 0 for _, values in found for v in values):
        return "a value is not above 0, so it has no logarithm"
    if len({v for _, values in found for v in values}) == 1:
        return "it is the same in every run"
    return None


class _Analysis:
    """Computes one figure's shares, intervals and tests from its decomposition."""

    def __init__(self, head: FigureAnalysis, split: Decomposition, cycles: Cycles, seed: int) -> None:
        import numpy as np

        self.head, self.split, self.cycles, self.seed = head, split, cycles, seed
        self.means = cycles.means[:, None]
        self.noise = cycles.of_means if cycles.df else np.zeros(len(cycles.means))
        self.reason = None if cycles.df else "one cycle of each configuration: what varies by itself is not known"
        if cycles.df and not cycles.pooled:
            self.reason = "the values do not vary from cycle to cycle"
        self.moved = None if self.reason else resampling.deviations(cycles, seed)
        self.unfitted = 0.0
        if split.columns is not None and split.solution is not None and split.df > 0:
            fitted = split.columns @ (split.solution @ cycles.means)
            left = float(((cycles.means - fitted) ** 2).sum() / split.df)
            self.unfitted = max(0.0, left - float(self.noise.mean()))

    def result(self) -> FigureAnalysis:
        """The whole figure."""
        shares = self._shares(self.means, excess=1)
        intervals = self._share_intervals() if self.moved is not None and self.cycles.df >= FEWEST_DF else {}
        effects = [self._effect(name, shares, intervals) for name in self._names()]
        interactions = [self._interaction(pair, shares, intervals) for pair in self.split.terms if len(pair) == 2]
        effects.sort(key=lambda e: -(e.share_total or 0.0))
        interactions.sort(key=lambda i: -(i.share or 0.0))
        effects, interactions = _corrected(effects, interactions)
        explained = [float(shares[members][0]) for members in self.split.terms] if shares else []
        total = self._total(self.means, excess=1)[0]
        level = self._grand_mean()
        return replace(
            self.head,
            mean=math.exp(level) if self.head.scale == "log" else level,
            sd=math.sqrt(max(0.0, float(total))),
            noise_sd=math.sqrt(self.cycles.pooled) if self.cycles.pooled is not None else None,
            design=self.split.design,
            unexplained=max(0.0, 1 - sum(explained)) if shares else None,
            effects=tuple(replace(e, rank=i) for i, e in enumerate(effects, start=1)),
            interactions=tuple(replace(e, rank=i) for i, e in enumerate(interactions, start=1)),
            untold=self.split.untold,
            confounded=self.split.confounded,
        )

    def _names(self) -> list[str]:
        return [members[0] for members in self.split.terms if len(members) == 1]

    def _grand_mean(self) -> float:
        space = self.split.space
        whole = [name for name in self._names() if (space.levels[name] >= 0).all()]
        if not whole:
            return float(self.cycles.means.mean())
        name = space.gate if space.gate in whole else whole[0]
        return float((self.split.terms[(name,)].means @ self.cycles.means).mean())

    def _total(self, values: Floats, excess: int) -> Floats:
        """Variance between configurations; `excess` times what cycles add to it on average is taken off."""
        measure = self.split.measure
        if measure is None:
            parts = [self._variance(members, values, excess) for members in self.split.terms]
            whole: Floats = sum(parts) + self.unfitted  # type: ignore[assignment]
            return whole
        middle = measure @ values
        spread: Floats = measure @ (values - middle) ** 2
        return spread - excess * float(measure @ self.noise - measure**2 @ self.noise)

    def _variance(self, members: tuple[str, ...], values: Floats, excess: int) -> Floats:
        import numpy as np

        term = self.split.terms[members]
        own = self.noise + self.unfitted
        found: Floats = np.maximum(0.0, term.variance(values) - excess * term.noise(own))
        return found

    def _shares(self, values: Floats, excess: int) -> dict[Any, Floats]:
        """Share of each term by its members, and of each parameter in all by its name. Empty where nothing is left to explain."""
        import numpy as np

        total = self._total(values, excess)
        if float(total.min()) <= 0 and values.shape[1] == 1:
            return {}
        total = np.where(total > 0, total, np.nan)
        found: dict[Any, Floats] = {}
        for members in self.split.terms:
            found[members] = self._variance(members, values, excess) / total
        for name in self._names():
            found[name] = np.clip(self._in_all(name, values, excess) / total, found[(name,)], 1.0)
        return {key: np.minimum(1.0, share) for key, share in found.items()}

    def _in_all(self, name: str, values: Floats, excess: int) -> Floats:
        space, measure = self.split.space, self.split.measure
        pairs = [p for p in self.split.terms if len(p) == 2 and name in p]
        if measure is None:
            whole: Floats = sum(self._variance(p, values, excess) for p in [(name,), *pairs])  # type: ignore[assignment]
            return whole
        found = totals.total_variance(space, measure, name, values)
        found = found - excess * totals.total_noise(space, measure, name, self.noise)
        if name == space.gate:
            nested = [p for p in pairs if any((space.levels[n] < 0).any() for n in p)]
            found = found + sum(self._variance(p, values, excess) for p in nested)
        return found

    def _share_intervals(self) -> dict[Any, Interval]:
        import numpy as np

        drawn: dict[Any, list[Floats]] = {}
        assert self.moved is not None
        for start in range(0, self.cycles.resamples, _AT_ONCE):
            # The noise is in the means already, and drawn once more: twice its part is taken off.
            values = self.means + self.moved[:, start : start + _AT_ONCE]
            for key, share in self._shares(values, excess=2).items():
                drawn.setdefault(key, []).append(share)
        cut = resampling.tail(self.cycles.df)
        found = {}
        for key, parts in drawn.items():
            share = np.concatenate(parts)
            share = share[~np.isnan(share)]
            if share.size:
                low, high = np.quantile(share, [cut, 1 - cut])
                found[key] = Interval(
                    float(low), float(high), "bootstrap", resamples=self.cycles.resamples, seed=self.seed
                )
        return found

    def _effect(self, name: str, shares: Mapping[Any, Floats], intervals: Mapping[Any, Interval]) -> Effect:
        space = self.split.space
        parameter, term = space.parameters[name], self.split.terms[(name,)]
        nested = bool((space.levels[name] < 0).any())
        levels, contrast = contrasts.levels_and_contrast(
            self.head, parameter, term, space.levels[name], self.cycles, self.moved, self.seed
        )
        return Effect(
            parameter=name,
            backend=parameter.backend if nested else None,
            rank=0,
            share=_one(shares, (name,)),
            share_total=_one(shares, name),
            share_within=self._within(name) if nested and shares else None,
            share_interval=_holding(intervals.get((name,)), _one(shares, (name,))),
            share_total_interval=_holding(intervals.get(name), _one(shares, name)),
            contrast=contrast,
            levels=levels,
            p=None if self.reason else contrasts.f_test(term, self.cycles),
            reason=self.reason,
        )

    def _within(self, name: str) -> float | None:
        """First order, of the variance between the configurations that have this parameter."""
        inside = self.split.space.within((name,))
        means, noise = self.cycles.means[inside], self.noise[inside]
        spread = float(((means - means.mean()) ** 2).mean() - noise.mean() * (1 - 1 / len(means)))
        term = self.split.terms[(name,)]
        own = float(self._variance((name,), self.means, 1)[0]) / term.weight
        return min(1.0, own / spread) if spread > 0 else None

    def _interaction(
        self, pair: tuple[str, ...], shares: Mapping[Any, Floats], intervals: Mapping[Any, Interval]
    ) -> Interaction:
        term = self.split.terms[pair]
        first, second = (self.split.space.parameters[name] for name in pair)
        means = term.means @ self.cycles.means
        shown = [math.exp(m) if self.head.scale == "log" else float(m) for m in means]
        return Interaction(
            parameters=(pair[0], pair[1]),
            rank=0,
            share=_one(shares, pair),
            share_interval=_holding(intervals.get(pair), _one(shares, pair)),
            cells=tuple(
                Cell((first.values[cell[0]], second.values[cell[1]]), mean)
                for cell, mean in zip(term.cells, shown, strict=True)
            ),
            p=None if self.reason else contrasts.f_test(term, self.cycles),
            reason=self.reason,
        )


def _one(shares: Mapping[Any, Floats], key: Any) -> float | None:
    return float(shares[key][0]) if key in shares else None


def _holding(found: Interval | None, share: float | None) -> Interval | None:
    """An interval of a share holds the share, which drawing around a bound at 0 could push out."""
    if found is None or share is None:
        return None
    return replace(found, low=max(0.0, min(found.low, share)), high=min(1.0, max(found.high, share)))


def _corrected(
    effects: Sequence[Effect], interactions: Sequence[Interaction]
) -> tuple[list[Effect], list[Interaction]]:
    tested = [p for p in [*(e.p for e in effects), *(i.p for i in interactions)] if p is not None]
    corrected = iter(holm.adjusted(tested))
    first = [e if e.p is None else replace(e, p_adjusted=next(corrected)) for e in effects]
    return first, [i if i.p is None else replace(i, p_adjusted=next(corrected)) for i in interactions]
