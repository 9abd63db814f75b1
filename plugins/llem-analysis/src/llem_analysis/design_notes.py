"""Notes on the design and the order of a study, beside what happened to its runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from llem_analysis.study_models import FigureAnalysis
from llem_analysis.wording import and_, as_written

_MOST_NAMED = 4


def design_notes(figures: Sequence[FigureAnalysis]) -> tuple[str, ...]:
    """Sentences, the gravest first."""
    return tuple(dict.fromkeys(_notes([figure for figure in figures if figure.design is not None])))


def _notes(figures: Sequence[FigureAnalysis]) -> Iterator[str]:
    orders = {figure.order for figure in figures}
    if "one after another" in orders:
        yield (
            "All cycles of a configuration ran one after another (order `sequential`): drift and configuration cannot be told "
            "apart, and what differs may be drift."
        )
    if "fixed places" in orders:
        yield (
            "Every configuration had the same place in each cycle: a drift within cycles cannot be told from configurations "
            "(`execution.order: shuffled` lets it)."
        )
    if any(figure.design == "saturated" for figure in figures):
        yield (
            "The design is saturated: it has no more configurations than its effects need, and nothing is left to test the "
            "model with. Each step is that of the configurations that were run, and may be another with other values of the rest."
        )
    elif any(figure.design == "incomplete" for figure in figures):
        yield (
            "Not every combination of values is there: values are compared over the combinations that ran with both, and "
            "there are no shares of variance."
        )
    for figure in figures[:1]:
        yield from _apart(figure)
        yield from _untold(figure)


def _apart(figure: FigureAnalysis) -> Iterator[str]:
    for effect in figure.effects:
        if effect.apart:
            pairs = [f"{as_written(a)} with {as_written(b)}" for a, b in effect.apart[:_MOST_NAMED]]
            more = len(effect.apart) - len(pairs)
            listed = and_([*pairs, *([f"{more:,} more pairs"] if more else [])])
            yield (
                f"Values of {effect.parameter} that ran with no common combination of the rest are not compared: {listed}."
            )


def _untold(figure: FigureAnalysis) -> Iterator[str]:
    if figure.untold:
        pairs = [" × ".join(pair) for pair in figure.untold[:_MOST_NAMED]]
        more = len(figure.untold) - len(pairs)
        yield f"This design cannot tell interactions of {and_([*pairs, *([f'{more:,} more'] if more else [])])}."
