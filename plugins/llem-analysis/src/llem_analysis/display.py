"""Analyses as a notebook shows them: their sentences, tables with units, and what to know before relying on them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from llem.plugin_api import NOTHING
from llem_analysis import html
from llem_analysis.metric_names import METRIC_SPECS
from llem_analysis.wording import ESTIMATE, amount, as_written, change, change_span, counted, p_text, percent

if TYPE_CHECKING:
    from llem_analysis.contrasting import Pair, StudyContrast
    from llem_analysis.effect_models import Effect
    from llem_analysis.front import Front
    from llem_analysis.intervals import Interval
    from llem_analysis.picking import Pick
    from llem_analysis.study_models import FigureAnalysis, StudyAnalysis

MOST_TABLES = 8
"""Number of figures, or pairs, that have a table of their own."""


def analysis_html(found: StudyAnalysis) -> str:
    """Findings, and a table of effects for each figure."""
    low, high = found.cycles
    cycles = counted(low, "cycle") if low == high else f"{low} to {high} cycles"
    parts = [html.notes(finding.text for finding in found.findings)]
    analysed = [figure for figure in found.figures if figure.reason is None]
    parts += [_figure(figure) for figure in analysed[:MOST_TABLES]]
    parts.append(html.notes([*_left_out(len(analysed), "figure"), *(f"note: {caveat}" for caveat in found.caveats)]))
    return html.block(f"{found.study}: {counted(found.configurations, 'configuration')}, {cycles} each", *parts)


def _figure(figure: FigureAnalysis) -> str:
    mark = "~" if figure.estimated else ""
    how = f", {figure.scope} {figure.method}" if figure.method else ""
    mean = "" if figure.mean is None else f" (geometric mean {mark}{amount(figure.mean)} {figure.unit}{how})"
    headers = ["parameter", "from → to", "change", "95 % interval", "p (Holm)", "share", "with interactions"]
    return html.block(
        f"{figure.label}{mean}", html.table(headers, [_effect(effect, mark) for effect in figure.effects], left=2)
    )


def _effect(effect: Effect, mark: str) -> list[str]:
    contrast = effect.contrast
    return [
        effect.parameter if effect.backend is None else f"{effect.parameter} (in {effect.backend})",
        f"{as_written(contrast.start)} → {as_written(contrast.end)}",
        _change(contrast.ratio, mark),
        _span(contrast.ratio_interval, mark),
        _p(effect.p_adjusted),
        NOTHING if effect.share is None else percent(effect.share),
        NOTHING if effect.share_total is None else percent(effect.share_total),
    ]


def front_html(front: Front) -> str:
    """The front first, then the others."""
    marks = {name: "~" if front.estimated and METRIC_SPECS[name].energy else "" for name in front.figures}
    rows = [
        [p.label, "yes" if p.on_front else "", *(f"{mark}{amount(p.values[name])}" for name, mark in marks.items())]
        for p in front.points
    ]
    headers = ["configuration", "on the front"]
    headers += [f"{label}, {unit}" for label, unit in zip(front.labels, front.units, strict=True)]
    on = sum(p.on_front for p in front.points)
    remarks = [*(f"left out, a figure is missing: {label}" for label in front.missing), *front.cautions]
    return html.block(
        f"{front.study}: {on} of {counted(len(front.points), 'configuration')} on the front",
        html.table(headers, rows, left=2) if rows else "",
        html.notes([*([ESTIMATE] if front.estimated else []), *remarks]),
    )


def pick_html(found: Pick) -> str:
    """The pick, its figures, and what speaks against relying on it."""
    rows = []
    for name, figure in found.figures.items():
        mark = "~" if found.estimated and METRIC_SPECS[name].energy else ""
        interval = figure.interval
        word = "at most" if METRIC_SPECS[name].better == "lower" else "at least"
        rows.append(
            [
                f"{figure.label}, {figure.unit}",
                f"{mark}{amount(figure.value)}",
                NOTHING if interval is None else f"{mark}{amount(interval.low)} to {mark}{amount(interval.high)}",
                NOTHING if figure.bound is None else f"{word} {amount(figure.bound)}",
            ]
        )
    spec = METRIC_SPECS[found.by]
    best = "lowest" if spec.better == "lower" else "highest"
    remarks = [
        f"{best} {spec.label} of {counted(found.kept, 'configuration')} that keep {'the objectives and ' * (found.objectives is not None)}all limits, of {found.considered}"
    ]
    if found.objectives is not None:
        remarks.append(found.objectives)
    if found.as_good is None:
        remarks.append("too few cycles to tell it from the others (3 of each give a test): no ranking")
    else:
        remarks += [f"as good as far as cycles tell: {label}" for label in found.as_good]
    for gain in found.advantages:
        remarks.append(
            f"against {gain.over}: {change(gain.ratio)}, corrected for having been chosen, 95 % interval {change_span(gain.interval)}"
        )
    by = found.figures[found.by]
    if by.value != by.measured:
        remarks.append(
            f"{by.label} is corrected for being the best of {found.kept}; measured {amount(by.measured)} {by.unit}"
        )
    if found.lacking:
        remarks.append(
            f"{counted(found.lacking, 'configuration')} left out: a figure was not measured, or a warning voids it"
        )
    remarks += [f"caution: {caution}" for caution in found.cautions]
    remarks += [ESTIMATE] if found.estimated else []
    table = html.table(["figure", "mean", "95 % interval", "asked"], rows)
    return html.block(f"{found.study}: {found.label}", table, html.notes(remarks))


def contrast_html(found: StudyContrast) -> str:
    """Statements that hold over all pairs, and a table for each of the first."""
    estimated = any(pair.estimated for pair in found.pairs)
    parts = []
    if found.overall:
        rows = []
        for name, overall in found.overall.items():
            mark = "~" if estimated and METRIC_SPECS[name].energy else ""
            change_ = _change(overall.ratio, mark)
            rows.append(
                [METRIC_SPECS[name].label, change_, _span(overall.interval, mark), _p(overall.p), str(overall.pairs)]
            )
        headers = ["over all pairs", "change (geometric mean)", "95 % interval", "p", "pairs"]
        parts.append(html.table(headers, rows))
    parts += [_pair(pair) for pair in found.pairs[:MOST_TABLES]]
    remarks = [*_left_out(len(found.pairs), "pair"), *(f"only one of the studies has {one}" for one in found.unmatched)]
    remarks += found.notes
    matched = f", matched by {found.matched_by}" if found.matched_by else ""
    parts.append(html.notes([*([ESTIMATE] if estimated else []), *remarks]))
    return html.block(f"{counted(len(found.pairs), 'pair')}{matched}: the second against the first", *parts)


def _pair(pair: Pair) -> str:
    rows = []
    for name, one in pair.figures.items():
        mark = "~" if pair.estimated and METRIC_SPECS[name].energy else ""
        means = [f"{mark}{amount(one.base_mean)}", f"{mark}{amount(one.other_mean)}"]
        told = [_change(one.ratio, mark), _span(one.ratio_interval, mark), _p(one.p_adjusted)]
        rows.append([f"{METRIC_SPECS[name].label}, {METRIC_SPECS[name].unit}", *means, *told])
    words = {"all": "refused", "energy": "energy refused", None: "warning"}
    objections = [f"different work: {d.key}: {as_written(d.base)} → {as_written(d.other)}" for d in pair.work]
    objections += [f"{words[objection.refused]}: {objection.text}" for objection in pair.objections]
    table = html.table(["figure", "first", "second", "change", "95 % interval", "p (Holm)"], rows) if rows else ""
    return html.block(
        pair.base if pair.base == pair.other else f"{pair.base} → {pair.other}", html.notes(objections), table
    )


def _left_out(count: int, what: str) -> Iterator[str]:
    if count > MOST_TABLES:
        yield f"{counted(count - MOST_TABLES, f'further {what}')} not shown; document() has all"


def _change(ratio: float | None, mark: str) -> str:
    return NOTHING if ratio is None else f"{mark}{change(ratio)}"


def _span(interval: Interval | None, mark: str) -> str:
    return NOTHING if interval is None else f"{mark}{change_span(interval)}"


def _p(p: float | None) -> str:
    return NOTHING if p is None else p_text(p).removeprefix("p ").removeprefix("= ")
