"""What an analysis found, in plain sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from llem.analysis.effect_models import Contrast, Effect, FigureAnalysis, Finding, Interaction
from llem.analysis.wording import amount, as_written, change, change_span, p_text, percent

NEGLIGIBLE = 0.01
"""An effect that is told from noise but explains less than this is named with the others that hardly matter."""


def find(figures: Sequence[FigureAnalysis]) -> tuple[Finding, ...]:
    """The sentences: first what each figure depends on most, then the other effects and interactions, then what has none."""
    analysed = [figure for figure in figures if figure.effects]
    first = [_effect(figure, figure.effects[0], most=True) for figure in analysed if _matters(figure.effects[0])]
    rest = [finding for figure in analysed for finding in _further(figure)]
    return (*first, *rest)


def _matters(effect: Effect) -> bool:
    return effect.told is not False and (effect.share_total or 0.0) >= NEGLIGIBLE


def _further(figure: FigureAnalysis) -> Iterator[Finding]:
    for effect in figure.effects[1:]:
        if _matters(effect):
            yield _effect(figure, effect, most=False)
    for interaction in figure.interactions:
        if interaction.told is not False and (interaction.share or 0.0) >= NEGLIGIBLE:
            yield _interaction(figure, interaction)
    yield from _without(figure)


def _effect(figure: FigureAnalysis, effect: Effect, *, most: bool) -> Finding:
    where = f" (among {effect.backend} configurations)" if effect.backend else ""
    share = percent(effect.share or 0.0)
    in_all = percent(effect.share_total or 0.0)
    with_others = f", {in_all} with its interactions" if in_all != share else ""
    label = label_of(figure)
    if (
        effect.share or 0.0
    ) < NEGLIGIBLE:  # what it does on average is next to nothing: the interactions' sentences tell
        return Finding(
            text=f"{effect.parameter}{where} matters for {label} by its interactions: it explains {share} of the variance "
            f"alone, {in_all} with them.",
            figure=figure.name,
            parameters=(effect.parameter,),
            certainty="no cycles" if effect.told is None else "told",
        )
    head = (
        f"{label[0].upper()}{label[1:]} depends most on {effect.parameter}{where}: it explains {share} of the variance "
        f"between configurations{with_others}."
        if most
        else f"{effect.parameter}{where} explains {share} of the variance of {label}{with_others}."
    )
    return Finding(
        text=f"{head} {contrast_text(figure, effect.contrast)}",
        figure=figure.name,
        parameters=(effect.parameter,),
        certainty="no cycles" if effect.told is None else "told",
    )


def contrast_text(figure: FigureAnalysis, contrast: Contrast) -> str:
    """`From 1 to 32 it falls by 83 % (0.52 to 0.09 J; 95 % interval of the change −84 % to −82 %).`"""
    mark, unit = _mark(figure), figure.unit
    values = f"{mark}{amount(contrast.worst_mean)} to {mark}{amount(contrast.best_mean)} {unit}"
    found = contrast.ratio_interval
    interval = f"; 95 % interval of the change {change_span(found)}" if found is not None else ""
    told = "" if found is not None else "; one cycle, so no interval" if figure.noise_sd is None else ""
    return f"From {as_written(contrast.worst)} to {as_written(contrast.best)} it {_moves(contrast, mark)} ({values}{interval}{told})."


def _moves(contrast: Contrast, mark: str) -> str:
    if contrast.ratio is None or contrast.ratio <= 0:
        return f"moves by {mark}{amount(contrast.difference)}"
    if contrast.ratio >= 3:
        return f"rises {mark}{amount(contrast.ratio)}-fold"
    verb = "falls" if contrast.ratio < 1 else "rises"
    return f"{verb} by {mark}{percent(abs(contrast.ratio - 1))}"


def _interaction(figure: FigureAnalysis, interaction: Interaction) -> Finding:
    a, b = interaction.parameters
    text = (
        f"What {a} does to {label_of(figure)} depends on {b}: their interaction explains "
        f"{percent(interaction.share or 0.0)} of the variance. {_by_other(interaction, _mark(figure))}"
    )
    return Finding(
        text=text,
        figure=figure.name,
        parameters=interaction.parameters,
        certainty="no cycles" if interaction.told is None else "told",
    )


def _by_other(interaction: Interaction, mark: str) -> str:
    """What the first parameter's ends do at each end of the second's change: the two of its values that differ most."""
    a, b = interaction.parameters
    means = {(as_written(c.values[0]), as_written(c.values[1])): c.mean for c in interaction.cells}
    firsts = list(dict.fromkeys(key[0] for key in means))
    seconds = list(dict.fromkeys(key[1] for key in means))
    low, high = firsts[0], firsts[-1]
    ratios = {s: means[high, s] / means[low, s] for s in seconds if means[low, s] > 0}
    if len(ratios) < 2:
        return ""
    least, greatest = min(ratios, key=ratios.__getitem__), max(ratios, key=ratios.__getitem__)
    return (
        f"From {low} to {high}, {a} changes it by {mark}{change(ratios[least])} where {b} is {least}, "
        f"and by {mark}{change(ratios[greatest])} where it is {greatest}."
    )


def _without(figure: FigureAnalysis) -> Iterator[Finding]:
    """One sentence for the parameters that make no difference that is told, one for those that hardly make any."""
    small = [e for e in figure.effects if not _matters(e)]
    for told, group in groupby(sorted(small, key=lambda e: str(e.told)), key=lambda e: e.told):
        effects = list(group)
        names = _and([e.parameter for e in effects])
        label = label_of(figure)
        if told is False:
            ps = [e.p_adjusted for e in effects if e.p_adjusted is not None]
            text = (
                f"No effect of {names} on {label} is told from the variation between cycles "
                f"(Holm-corrected {p_text(min(ps))}{' or more' * (max(ps) > min(ps))})."
            )
        else:
            text = f"{names} hardly {'matter' if len(effects) > 1 else 'matters'} for {label}: below 1 % of the variance{' each' * (len(effects) > 1)}."
        yield Finding(
            text=text,
            figure=figure.name,
            parameters=tuple(e.parameter for e in effects),
            certainty="not told" if told is False else "told" if told else "no cycles",
        )


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def label_of(figure: FigureAnalysis) -> str:
    """What the figure is called; `estimated …` where it is."""
    return f"estimated {figure.label}" if figure.estimated else figure.label


def _mark(figure: FigureAnalysis) -> str:
    return "~" if figure.estimated else ""
