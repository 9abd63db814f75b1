"""One figure of a study: effects and interactions of its parameters, as ratios with intervals, tests and shares."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llem.plugin_api import MetricSpec
from llem_analysis import contrasts, drift
from llem_analysis.cell_means import CellMeans, Estimate
from llem_analysis.contexts import Rectangles
from llem_analysis.contrasts import Compared, ratio_interval, ratio_of
from llem_analysis.cycles_needed import Spread, cycles_for
from llem_analysis.design import Configured
from llem_analysis.effect_models import Cell, Effect, Extremes, Interaction, Level, Parameter
from llem_analysis.figure_design import Designs, FigureDesign
from llem_analysis.metric_summary import is_boundless
from llem_analysis.shares import Shares, shares
from llem_analysis.study_models import Alias, CyclesNeeded, Design, FigureAnalysis, Misfit
from llem_analysis.sums import Sums
from llem_analysis.verdicts import may_tell

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

ONCE = "one cycle of each configuration: what varies by itself is not known"
STEADY = "every cycle shows the same change"
DRIFTED = "configurations kept their places, and a drift over these explains all that differs"


def analyse_figure(
    spec: MetricSpec,
    configurations: Sequence[Configured],
    parameters: Sequence[Parameter],
    seed: int,
    designs: Designs | None = None,
) -> FigureAnalysis | None:
    """The analysis of one figure, its tests not yet corrected; None where no configuration has it.

    Args:
        designs: of these configurations; those of several figures share what is the same in them.
    """
    places: list[int] = []
    cell: list[int] = []
    rows: list[Mapping[str, Any]] = []
    values: list[float] = []
    for place, one in enumerate(configurations):
        # Values that cannot be are left out, and told, before (`weighed`): no other one ever has a logarithm.
        possible = [(row, float(v)) for row in one.rows if (v := row.get(spec.column)) is not None and v > 0]
        # A mean of the others would flatter a configuration of which one cycle has energy over nothing.
        if possible and not is_boundless(one.rows, spec.column, spec.of):
            cell += [len(places)] * len(possible)
            places.append(place)
            rows += [row for row, _ in possible]
            values += [value for _, value in possible]
    if not places:
        return None
    found = [configurations[place] for place in places]
    kinds = {kind for c in found for row in c.rows if (kind := _kind(row)) is not None} if spec.energy else set()
    head = FigureAnalysis(
        name=spec.name,
        label=spec.label,
        unit=spec.unit,
        better=spec.better,
        configurations=len(found),
        values=len(values),
        estimated=any(method == "estimate" for _, method in kinds),
    )
    if len(kinds) == 1:
        ((scope, method),) = kinds
        head = replace(head, scope=scope, method=method)
    if reason := _cannot(found, values, kinds):
        return replace(head, reason=reason)
    designs = designs or Designs(parameters, configurations)
    design = designs.of(places, cell, [_cycle(row) for row in rows], [row.get("position") for row in rows])
    if not design.space.levels:
        return replace(head, reason="no parameter has two values among the configurations that have this figure")
    import numpy as np

    return _Analysis(head, design, CellMeans(np.log(values), design.layout), seed).result()


def _cycle(row: Mapping[str, Any]) -> int:
    cycle = row.get("cycle")
    return 1 if cycle is None else int(cycle)


def _kind(row: Mapping[str, Any]) -> tuple[str | None, str] | None:
    method = row.get("energy.headline.method")
    return None if method is None else (row.get("energy.headline.scope"), method)


def _cannot(found: Sequence[Configured], values: Sequence[float], kinds: set[tuple[str | None, str]]) -> str | None:
    if len(kinds) > 1:
        named = " and ".join(sorted(f"{scope} {method}" for scope, method in kinds))
        return f"it was found by different methods ({named}), which are never brought together"
    if len(found) < 2:
        return "only one configuration has it"
    if len(set(values)) == 1:
        return "it is the same in every run"
    return None


class _Analysis:
    """Computes one figure's effects, intervals, tests and shares."""

    def __init__(self, head: FigureAnalysis, design: FigureDesign, means: CellMeans, seed: int) -> None:
        self.head, self.design, self.space, self.means = head, design, design.space, means
        self.trend = drift.trend(means)
        self.reason = None if means.varies else STEADY if means.repeats else ONCE
        if self.trend is not None and self.trend.inseparable:
            self.reason = DRIFTED
        self.tested = self.reason is None
        self.seed = seed

    def result(self) -> FigureAnalysis:
        """The whole figure."""
        effects: list[Effect] = []
        refused: list[Alias] = []
        for name in self.space.levels:
            steps = self.design.steps(name)
            if steps.found:
                effects.append(self._effect(name, contrasts.compared(steps, self.means), steps.apart))
                continue
            one = self._without_shared(name)
            if isinstance(one, Effect):
                effects.append(one)
            else:
                refused.append(one)
        interactions, untold = [], []
        for pair in self.design.pairs:
            found = self.design.rectangles(pair)
            if found is not None:
                interactions.append(self._interaction(pair, found))
            else:
                untold.append(pair)
        pooled = self.means.pooled
        whole = replace(
            self.head,
            lowest=ratio_of(float(self.means.means.min())),
            highest=ratio_of(float(self.means.means.max())),
            mean=ratio_of(float(self.means.means.mean())),
            noise_sd=None if pooled is None else math.sqrt(pooled),
            order=self.means.layout.timeline.order,
            design=self._design(),
            effects=tuple(effects),
            interactions=tuple(interactions),
            refused=tuple(refused),
            untold=tuple(untold),
            trend=self.trend,
            misfit=self._misfit(),
        )
        split = self.design.split
        # Where nothing is told there are no shares either.
        if split is None or not self.means.repeats or self.reason == DRIFTED or not may_tell(whole):
            return whole
        return _with_shares(whole, shares(split, self.means.in_blocks(), self.seed))

    def _design(self) -> Design:
        if self.design.split is not None:
            return "complete"
        columns = self.design.columns
        few = columns.small and len(self.space.levels) > 1
        return "saturated" if few and columns.rank_of_effects >= self.space.size else "incomplete"

    def _effect(self, name: str, found: Sequence[Compared], apart: Sequence[tuple[int, int]]) -> Effect:
        parameter = self.space.parameters[name]
        nested = bool((self.space.levels[name] < 0).any())
        contrast, best = contrasts.first_to_last(found, parameter), None
        if self.reason in (None, STEADY):
            contrast, best = contrasts.extremes(found, parameter, self.head.better)
        effect = Effect(
            parameter=name,
            backend=parameter.backend if nested else None,
            contrast=contrast,
            best=best,
            steps=tuple(contrasts.step_of(one, parameter) for one in found),
            levels=tuple(self._levels(name)),
            apart=tuple((parameter.values[a], parameter.values[b]) for a, b in apart),
            p=contrasts.p_of_any(found) if self.tested else None,
            reason=self.reason,
        )
        if self.reason == DRIFTED:
            bare = tuple(replace(step, interval=None, p=None) for step in effect.steps)
            return replace(effect, steps=bare, contrast=replace(effect.contrast, ratio_interval=None))
        return effect

    def _levels(self, name: str) -> list[Level]:
        import numpy as np

        column, counts = self.space.levels[name], self.means.counts
        inside = np.nonzero(column >= 0)[0]
        levels, of = np.unique(column[inside], return_inverse=True)
        configurations = np.bincount(of)
        order = np.argsort(of, kind="stable")
        values = np.bincount(of, weights=counts[inside]).astype(np.int64)
        found = self.means.estimates(Sums(of[order], inside[order], (1 / configurations[of])[order], levels.size))
        return [
            Level(
                value=self.space.parameters[name].values[level],
                mean=ratio_of(one.value),
                interval=ratio_interval(one) if self.tested else None,
                configurations=many,
                values=runs,
            )
            for level, one, many, runs in zip(
                levels.tolist(), found, configurations.tolist(), values.tolist(), strict=True
            )
        ]

    def _without_shared(self, name: str) -> Effect | Alias:
        """An effect whose values ran with no common combination: by a model that can be tested, or refused by name."""
        import numpy as np

        parameter, column = self.space.parameters[name], self.space.levels[name]
        first, last = int(column[column >= 0].min()), int(column.max())
        ends = parameter.values[first], parameter.values[last]
        if not self.design.columns.small:
            return Alias(name, (), saturated=False, start=ends[0], end=ends[1])
        found = self.design.columns.fitted(name)
        if found.row is not None and found.left is not None:
            estimate = self._with_misfit(found.row, found.left)
            one = Compared(first, last, estimate, None, None, 0, int(np.unique(column).size))
            return self._effect(name, [one], ())
        alias = Alias(name, found.others, saturated=not found.others, start=ends[0], end=ends[1])
        if found.row is None:
            return alias
        estimate = self.means.estimate(found.row)
        if not self.tested:
            return replace(alias, ratio=ratio_of(estimate.value))
        return replace(alias, ratio=ratio_of(estimate.value), interval=ratio_interval(estimate), p=estimate.p)

    def _with_misfit(self, row: Floats, left: Floats) -> Estimate:
        """An estimate of a model, with what the model leaves of the configurations' means in its error."""
        own = self.means.estimate(row)
        if own.variance is None:
            return own
        noise = float((left**2 @ self.means.of_means).mean())
        beyond = max(0.0, float(((left @ self.means.means) ** 2).mean()) - noise) * float(row @ row)
        total = own.variance + beyond
        df = total**2 / (own.variance**2 / own.df + beyond**2 / len(left))
        return Estimate(own.value, total, df)

    def _interaction(self, pair: tuple[str, str], found: Rectangles) -> Interaction:
        import numpy as np

        first, second = (self.space.parameters[name] for name in pair)
        widest = int(np.argmax(np.abs(found.differences.of(self.means.means)).round(contrasts.EQUAL_DIGITS)))
        ends = self.means.estimates(Sums.of_rows(found.ends(widest)))
        (start, end), at = found.first[widest], found.second[widest]
        return Interaction(
            parameters=pair,
            extremes=Extremes(
                start=first.values[start],
                end=first.values[end],
                at=(second.values[at[0]], second.values[at[1]]),
                ratios=(ratio_of(ends[0].value), ratio_of(ends[1].value)),
                intervals=(ratio_interval(ends[0]), ratio_interval(ends[1])) if self.tested else (None, None),
            ),
            cells=tuple(self._cells(pair)),
            p=self.means.p_of_basis(found.basis) if self.tested else None,
            reason=self.reason,
        )

    def _cells(self, pair: tuple[str, str]) -> list[Cell]:
        import numpy as np

        first, second = (self.space.parameters[name] for name in pair)
        inside = self.space.within(pair)
        both = np.stack([self.space.levels[name][inside] for name in pair], axis=1)
        there, of = np.unique(both, axis=0, return_inverse=True)
        of = of.reshape(-1)
        means = np.bincount(of, weights=self.means.means[inside]) / np.bincount(of)
        return [
            Cell((first.values[a], second.values[b]), ratio_of(mean))
            for (a, b), mean in zip(there.tolist(), means.tolist(), strict=True)
        ]

    def _misfit(self) -> Misfit | None:
        """The test of interactions of three parameters and more, where configurations are left for them."""
        if not self.tested or len(self.space.levels) < 3 or not self.design.columns.small:
            return None
        left = self.design.left
        return Misfit(len(left.weights), self.means.p_of_basis(left)) if len(left.weights) else None


def _with_shares(figure: FigureAnalysis, found: Shares) -> FigureAnalysis:
    """The same with the shares of the variance between configurations."""
    effects = [
        replace(
            effect,
            share=found.alone.get((effect.parameter,)),
            share_total=found.in_all.get(effect.parameter),
            share_within=found.within.get(effect.parameter),
            share_interval=found.intervals.get((effect.parameter,)),
            share_total_interval=found.intervals.get(effect.parameter),
        )
        for effect in figure.effects
    ]
    interactions = [
        replace(one, share=found.alone.get(one.parameters), share_interval=found.intervals.get(one.parameters))
        for one in figure.interactions
    ]
    return replace(
        figure,
        sd=found.sd,
        unexplained=found.unexplained,
        effects=tuple(effects),
        interactions=tuple(interactions),
    )


def needed(figure: FigureAnalysis, effect: Effect, spread: Spread | None, tests: int) -> CyclesNeeded:
    """Number of cycles that would tell the largest step of an effect that was seen."""
    seen = max(effect.steps, key=lambda step: abs(math.log(step.ratio)))
    if spread is None:
        return CyclesNeeded(effect.parameter, seen.ratio, None, None, None)
    # The mean at each end is over as many configurations as combinations are shared.
    runs = 2 / max(1, seen.shared)
    cycles = cycles_for(math.log(seen.ratio), spread.sd, runs, figure.configurations, tests)
    return CyclesNeeded(effect.parameter, seen.ratio, cycles, spread.sd, spread.source)
