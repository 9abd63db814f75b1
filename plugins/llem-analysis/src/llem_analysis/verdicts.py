"""Verdicts on what is told from noise: Holm's correction over everything that a sentence may claim, ranks, directions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from llem_analysis import holm
from llem_analysis.effect_models import TOLD_AT, Contrast, Effect, Interaction
from llem_analysis.study_models import Alias, FigureAnalysis, Misfit, Trend

Tested = TypeVar("Tested", Effect, Interaction, Alias, Misfit, Trend)


def tests_of(figures: Sequence[FigureAnalysis]) -> list[float]:
    """The p of every test, in the order in which `verdicts` takes them."""
    return [p for figure in figures for p in _p_values(figure)]


def may_tell(figure: FigureAnalysis) -> bool:
    """False where no test tells anything of a figure by itself: then none does among those of others, which raise every p."""
    tests = tests_of([figure])
    return not tests or min(holm.adjusted(tests)) <= TOLD_AT


def verdicts(figures: Sequence[FigureAnalysis]) -> list[FigureAnalysis]:
    """The figures with corrected p, ranks, and a direction only where one is told."""
    corrected = iter(holm.adjusted(tests_of(figures)))

    def decided(one: Tested) -> Tested:
        return one if one.p is None else replace(one, p_adjusted=next(corrected))

    found = []
    for figure in figures:
        effects = [_directed(decided(effect)) for effect in figure.effects]
        interactions = [decided(interaction) for interaction in figure.interactions]
        refused = tuple(decided(alias) for alias in figure.refused)
        misfit = None if figure.misfit is None else decided(figure.misfit)
        trend = figure.trend
        if trend is not None and trend.taken_out:
            trend = decided(trend)
        one = replace(
            figure,
            effects=_ranked_effects(effects),
            interactions=_ranked_interactions(interactions),
            refused=refused,
            misfit=misfit,
            trend=trend,
        )
        told = [*(e.told for e in effects), *(i.told for i in interactions), None if misfit is None else misfit.told]
        nothing = bool(tests_of([figure])) and not any(told)
        found.append(_without_shares(one) if nothing else one)
    return found


def _without_shares(figure: FigureAnalysis) -> FigureAnalysis:
    """The same without shares: where nothing is told, what is between configurations is noise."""
    effects = [
        replace(e, share=None, share_total=None, share_within=None, share_interval=None, share_total_interval=None)
        for e in figure.effects
    ]
    interactions = [replace(i, share=None, share_interval=None) for i in figure.interactions]
    return replace(figure, effects=tuple(effects), interactions=tuple(interactions), sd=None, unexplained=None)


def _p_values(figure: FigureAnalysis) -> list[float]:
    tested: list[Effect | Interaction | Alias | Misfit | Trend | None] = [
        *figure.effects,
        *figure.interactions,
        *figure.refused,
        figure.misfit,
        figure.trend if figure.trend is not None and figure.trend.taken_out else None,
    ]
    return [one.p for one in tested if one is not None and one.p is not None]


def _directed(effect: Effect) -> Effect:
    """An effect that is not told goes from its first value to its last, which nobody picked, and has no best value."""
    if effect.told is not False:
        return effect
    order = list(dict.fromkeys(level.value for level in effect.levels if _hashable(level.value)))
    places = {value: place for place, value in enumerate(order)}

    def wide(place: int) -> tuple[int, int]:
        step = effect.steps[place]
        if not (_hashable(step.start) and _hashable(step.end)):
            return place, 0
        return places[step.end] - places[step.start], -places[step.start]

    step = effect.steps[max(range(len(effect.steps)), key=wide)]
    contrast = Contrast(
        step.start, step.end, step.start_mean, step.end_mean, step.ratio, step.shared, step.combinations, step.interval
    )
    return replace(effect, contrast=contrast, best=None)


def _hashable(value: object) -> bool:
    return not isinstance(value, (dict, list))


def _ranked_effects(effects: Sequence[Effect]) -> tuple[Effect, ...]:
    if all(e.p_adjusted is None and e.share is None for e in effects):
        return tuple(effects)
    order = sorted(effects, key=lambda e: (e.told is False, -abs(math.log(e.contrast.ratio))))
    return tuple(replace(effect, rank=rank) for rank, effect in enumerate(order, start=1))


def _ranked_interactions(interactions: Sequence[Interaction]) -> tuple[Interaction, ...]:
    if all(i.p_adjusted is None and i.share is None for i in interactions):
        return tuple(interactions)
    order = sorted(
        interactions, key=lambda i: (i.told is False, -abs(math.log(i.extremes.ratios[1] / i.extremes.ratios[0])))
    )
    return tuple(replace(one, rank=rank) for rank, one in enumerate(order, start=1))
