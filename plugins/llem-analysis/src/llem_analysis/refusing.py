"""Sentences about what a study cannot tell: effects that go together, drift that configurations share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from llem_analysis.study_models import Alias, Conclusion, FigureAnalysis, Trend
from llem_analysis.wording import and_, as_written, change, change_span, label_of, mark_of


def refused(figures: Sequence[FigureAnalysis]) -> Iterator[Conclusion]:
    """Each once, for the first figure that it concerns."""
    named: set[str] = set()
    for figure in figures:
        for alias in figure.refused:
            if alias.parameter not in named:
                named.add(alias.parameter)
                yield Conclusion(_alias(figure, alias), figure.name, (alias.parameter,), "refused")
    taken_out = [f for f in figures if f.trend is not None and f.trend.taken_out and f.trend.told]
    if taken_out:
        yield Conclusion(_drift(taken_out), taken_out[0].name, (), "told")
    together = [f for f in figures if f.trend is not None and f.trend.inseparable]
    if together:
        yield Conclusion(_inseparable(together), together[0].name, (), "refused")


def _alias(figure: FigureAnalysis, alias: Alias) -> str:
    ends = f"from {as_written(alias.start)} to {as_written(alias.end)}"
    if alias.saturated:
        return (
            f"The effect of {alias.parameter} on {label_of(figure)} cannot be told: its values share no combination of the rest, "
            "and the design is saturated, so that nothing is left to test a model with that would tell it."
        )
    if not alias.others:
        return f"The effect of {alias.parameter} cannot be told: its values share no combination of the rest."
    names = [alias.parameter, *alias.others]
    text = f"{and_(names)} cannot be told apart: this design changes them together."
    if alias.told and alias.ratio is not None and alias.interval is not None:
        text += (
            f" One of them, or {'both' if len(names) == 2 else 'several'}, changes {label_of(figure)} by {mark_of(figure)}"
            f"{change(alias.ratio)} (95 % interval {change_span(alias.interval)}) {ends} of {alias.parameter}."
        )
    elif alias.told is False:
        none = "neither" if len(names) == 2 else "none of them"
        text += f" Of {none} an effect on {label_of(figure)} is told from the variation between cycles."
    return text


def _drift(figures: Sequence[FigureAnalysis]) -> str:
    parts = []
    for figure in figures:
        trend = figure.trend
        assert trend is not None
        span = "" if trend.interval is None else f" ({change_span(trend.interval)})"
        parts.append(f"{label_of(figure)} changes by {mark_of(figure)}{change(trend.ratio)}{span}")
    return f"There is a drift within cycles: from the first place to the last {and_(parts)}. It is taken out of all effects."


def _inseparable(figures: Sequence[FigureAnalysis]) -> str:
    trend = figures[0].trend
    assert trend is not None
    labels = and_([label_of(f) for f in figures])
    return (
        f"Drift and configuration are inseparable for {labels}: {_kept(trend)}, and a drift of {mark_of(figures[0])}"
        f"{change(trend.ratio)} from the first place to the last explains all that differs. No effect is told. Run it with "
        "`execution.order: shuffled`."
    )


def _kept(trend: Trend) -> str:
    if trend.order == "one after another":
        return "all cycles of a configuration ran one after another"
    return "each configuration had the same place in every cycle"
