"""One figure of a study: effects and interactions of its parameters, as ratios with intervals, tests and shares."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from llem_analysis import contexts, contrasts, drift
from llem_analysis.aliasing import Columns
from llem_analysis.cell_means import CellMeans, Estimate
from llem_analysis.contexts import Rectangle
from llem_analysis.contrasts import Compared, ratio_interval, ratio_of
from llem_analysis.cycles_needed import Spread, cycles_for
from llem_analysis.decomposition import decompose
from llem_analysis.design import Configured
from llem_analysis.effect_models import (
    Alias,
    Cell,
    CyclesNeeded,
    Design,
    Effect,
    Extremes,
    FigureAnalysis,
    Interaction,
    Level,
    Misfit,
    Parameter,
)
from llem_analysis.figures import FigureSpec
from llem_analysis.shares import Shares, shares
from llem_analysis.space import Space, make_space
from llem_analysis.timeline import timeline

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

ONCE = "one cycle of each configuration: what varies by itself is not known"
STEADY = "every cycle shows the same change"
DRIFTED = "configurations kept their places, and a drift over these explains all that differs"


@dataclass(frozen=True)
class Run:
    """One value of a figure: of which configuration, cycle, and position in the study."""

    cell: int
    cycle: int
    position: int | None
    value: float


def analyse_figure(
    spec: FigureSpec, configurations: Sequence[Configured], parameters: Sequence[Parameter], seed: int
) -> FigureAnalysis | None:
    """The analysis of one figure, its tests not yet corrected; None where no configuration has it."""
    found: list[Configured] = []
    runs: list[Run] = []
    for one in configurations:
        # Values that cannot be are left out, and told, before (`weighed`): no other one ever has a logarithm.
        possible = [(row, float(v)) for row in one.rows if (v := row.get(spec.column)) is not None and v > 0]
        if possible:
            runs += [Run(len(found), _cycle(row), row.get("position"), v) for row, v in possible]
            found.append(one)
    if not found:
        return None
    kinds = {kind for c in found for row in c.rows if (kind := _kind(row, spec)) is not None}
    head = FigureAnalysis(
        name=spec.name,
        label=spec.label,
        unit=spec.unit,
        better=spec.better,
        configurations=len(found),
        values=len(runs),
        estimated=any(method == "estimate" for _, method in kinds),
    )
    if len(kinds) == 1:
        ((scope, method),) = kinds
        head = replace(head, scope=scope, method=method)
    if reason := _cannot(found, runs, kinds):
        return replace(head, reason=reason)
    space = make_space(parameters, [c.levels for c in found])
    if not space.levels:
        return replace(head, reason="no parameter has two values among the configurations that have this figure")
    return _Analysis(head, space, _cell_means(runs, len(found)), seed).result()


def _cycle(row: Mapping[str, Any]) -> int:
    cycle = row.get("cycle")
    return 1 if cycle is None else int(cycle)


def _cell_means(runs: Sequence[Run], size: int) -> CellMeans:
    import numpy as np

    cell = np.array([run.cell for run in runs], dtype=np.int64)
    when = timeline(cell, [run.cycle for run in runs], [run.position for run in runs], size)
    return CellMeans(np.log([run.value for run in runs]), cell, size, when)


def _kind(row: Mapping[str, Any], spec: FigureSpec) -> tuple[str | None, str] | None:
    method = row.get("energy.headline.method")
    return (row.get("energy.headline.scope"), method) if spec.energy and method is not None else None


def _cannot(found: Sequence[Configured], runs: Sequence[Run], kinds: set[Any]) -> str | None:
    if len(kinds) > 1:
        named = " and ".join(sorted(f"{scope} {method}" for scope, method in kinds))
        return f"it was found by different methods ({named}), which are never brought together"
    if len(found) < 2:
        return "only one configuration has it"
    if len({run.value for run in runs}) == 1:
        return "it is the same in every run"
    return None


class _Analysis:
    """Computes one figure's effects, intervals, tests and shares."""

    def __init__(self, head: FigureAnalysis, space: Space, means: CellMeans, seed: int) -> None:
        self.head, self.space, self.means = head, space, means
        self.columns = Columns(space)
        self.trend = drift.trend(means)
        self.reason = None if means.varies else STEADY if means.repeats else ONCE
        if self.trend is not None and self.trend.inseparable:
            self.reason = DRIFTED
        self.tested = self.reason is None
        split = decompose(space)
        self.complete = split is not None
        self.shares: Shares | None = None
        if split is not None and means.repeats and self.reason != DRIFTED:
            self.shares = shares(split, means.in_blocks(), seed)

    def result(self) -> FigureAnalysis:
        """The whole figure."""
        effects: list[Effect] = []
        refused: list[Alias] = []
        for name in self.space.levels:
            steps, apart = contexts.steps(self.space, name)
            if steps:
                effects.append(self._effect(name, contrasts.compared(steps, self.means), apart))
                continue
            one = self._without_shared(name)
            if isinstance(one, Effect):
                effects.append(one)
            else:
                refused.append(one)
        interactions, untold = [], []
        for pair in self.space.pairs():
            found = contexts.rectangles(self.space, pair)
            if found:
                interactions.append(self._interaction(pair, found))
            else:
                untold.append(pair)
        pooled = self.means.pooled
        return replace(
            self.head,
            lowest=ratio_of(float(self.means.means.min())),
            highest=ratio_of(float(self.means.means.max())),
            mean=ratio_of(float(self.means.means.mean())),
            sd=self.shares.sd if self.shares else None,
            noise_sd=None if pooled is None else math.sqrt(pooled),
            order=self.means.timeline.order,
            design=self._design(),
            unexplained=self.shares.unexplained if self.shares else None,
            effects=tuple(effects),
            interactions=tuple(interactions),
            refused=tuple(refused),
            untold=tuple(untold),
            trend=self.trend,
            misfit=self._misfit(),
        )

    def _design(self) -> Design:
        if self.complete:
            return "complete"
        few = self.columns.small and len(self.space.levels) > 1
        return "saturated" if few and self.columns.rank_of_effects() >= self.space.size else "incomplete"

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
        if self.shares is None:
            return effect
        return replace(
            effect,
            share=self.shares.alone.get((name,)),
            share_total=self.shares.in_all.get(name),
            share_within=self.shares.within.get(name),
            share_interval=self.shares.intervals.get((name,)),
            share_total_interval=self.shares.intervals.get(name),
        )

    def _levels(self, name: str) -> list[Level]:
        import numpy as np

        column, found = self.space.levels[name], []
        for level in np.unique(column[column >= 0]):
            inside = column == level
            one = self.means.estimate(inside / inside.sum())
            found.append(
                Level(
                    value=self.space.parameters[name].values[int(level)],
                    mean=ratio_of(one.value),
                    interval=ratio_interval(one) if self.tested else None,
                    configurations=int(inside.sum()),
                    values=int(self.means.counts[inside].sum()),
                )
            )
        return found

    def _without_shared(self, name: str) -> Effect | Alias:
        """An effect whose values ran with no common combination: by a model that can be tested, or refused by name."""
        import numpy as np

        parameter, column = self.space.parameters[name], self.space.levels[name]
        first, last = int(column[column >= 0].min()), int(column.max())
        ends = parameter.values[first], parameter.values[last]
        if not self.columns.small:
            return Alias(name, (), saturated=False, start=ends[0], end=ends[1])
        found = self.columns.fitted(name)
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

    def _interaction(self, pair: tuple[str, str], found: Sequence[Rectangle]) -> Interaction:
        import numpy as np

        first, second = (self.space.parameters[name] for name in pair)
        rows = np.array([one.row for one in found])
        widest = found[int(np.argmax(np.abs(rows @ self.means.means)))]
        ends = [self.means.estimate(row) for row in widest.rows]
        interaction = Interaction(
            parameters=pair,
            extremes=Extremes(
                start=first.values[widest.first[0]],
                end=first.values[widest.first[1]],
                at=(second.values[widest.second[0]], second.values[widest.second[1]]),
                ratios=(ratio_of(ends[0].value), ratio_of(ends[1].value)),
                intervals=(ratio_interval(ends[0]), ratio_interval(ends[1])) if self.tested else (None, None),
            ),
            cells=tuple(self._cells(pair)),
            p=self.means.p_of_all(rows) if self.tested else None,
            reason=self.reason,
        )
        if self.shares is None:
            return interaction
        return replace(interaction, share=self.shares.alone.get(pair), share_interval=self.shares.intervals.get(pair))

    def _cells(self, pair: tuple[str, str]) -> list[Cell]:
        import numpy as np

        first, second = (self.space.parameters[name] for name in pair)
        columns = [self.space.levels[name] for name in pair]
        inside = self.space.within(pair)
        there = np.unique(np.stack([column[inside] for column in columns], axis=1), axis=0)
        return [
            Cell(
                (first.values[int(a)], second.values[int(b)]),
                ratio_of(float(self.means.means[(columns[0] == a) & (columns[1] == b)].mean())),
            )
            for a, b in there
        ]

    def _misfit(self) -> Misfit | None:
        """The test of interactions of three parameters and more, where configurations are left for them."""
        if not self.tested or len(self.space.levels) < 3 or not self.columns.small:
            return None
        left = self.columns.left()
        return Misfit(len(left), self.means.p_of_all(left)) if len(left) else None


def needed(figure: FigureAnalysis, effect: Effect, spread: Spread | None, tests: int) -> CyclesNeeded:
    """Number of cycles that would tell the largest step of an effect that was seen."""
    seen = max(effect.steps, key=lambda step: abs(math.log(step.ratio)))
    if spread is None:
        return CyclesNeeded(effect.parameter, seen.ratio, None, None, None)
    # The mean at each end is over as many configurations as combinations are shared.
    runs = 2 / max(1, seen.shared)
    cycles = cycles_for(math.log(seen.ratio), spread.sd, runs, figure.configurations, tests)
    return CyclesNeeded(effect.parameter, seen.ratio, cycles, spread.sd, spread.source)
