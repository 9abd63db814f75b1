"""Effects: how much each parameter changes a figure, and which share of its variance it explains, where that is told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from llem_analysis.effect_models import Contrast, Effect
from llem_analysis.study_models import FigureAnalysis
from llem_analysis.wording import amount, as_written, change, percent
from llem_report.charts.drawn import Chart, Drawn
from llem_report.charts.style import BG, FG, GRID, MUTED, SERIES, TOTAL, Width, document, label_width, shortened
from llem_report.models import ReportStudy

MOST_PARAMETERS = 8
MOST_METRICS = 3
_ROW_PX = 22
_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10, 20, 50, 100)
_FEW_TICKS = (0.01, 0.1, 0.3, 1, 3, 10, 100)
_PREFERRED = ("j_per_output_token", "tokens_per_s", "ttft_p50_s", "tpot_p50_s", "peak_memory_mb", "host_peak_rss_mb")

TITLE = "Which parameters matter"


def draw(study: ReportStudy, width: Width = "double") -> Drawn:
    """Panels for each of the main figures: the change between two values, and shares of variance where any are told."""
    if study.analysis is None:
        return CHART.absent(f"No effects: {study.no_findings}")
    by_name = {figure.name: figure for figure in study.analysis.figures if figure.effects}
    shown = [by_name[name] for name in _PREFERRED if name in by_name][:MOST_METRICS]
    if not shown:
        reasons = "; ".join(dict.fromkeys(f"{f.label}: {f.reason}" for f in study.analysis.figures if f.reason))
        return CHART.absent(f"No figure of this study could be analysed. {reasons}".strip())
    nested = len({effect.backend for figure in shown for effect in figure.effects}) > 1
    length = 48 if width == "double" else 24
    labels = {
        (figure.name, effect.parameter): shortened(_label(effect, full=width == "double"), length)
        for figure in shown
        for effect in figure.effects[:MOST_PARAMETERS]
    }
    left = label_width(list(labels.values()))
    shares = any(effect.share_total is not None for figure in shown for effect in figure.effects[:MOST_PARAMETERS])
    views = [_panels(figure, labels, left, width, shares=shares, last=figure is shown[-1]) for figure in shown]
    return Drawn(
        CHART.name,
        TITLE,
        document({"vconcat": views, "spacing": 22}),
        _caption(shown, nested, shares),
        _description(shown),
        width=width,
    )


def _label(effect: Effect, *, full: bool) -> str:
    name = effect.parameter.removeprefix(f"{effect.backend}.")
    where = f" ({effect.backend})" if effect.backend else ""
    values = f": {as_written(effect.contrast.start)} → {as_written(effect.contrast.end)}" if full else ""
    return f"{name}{where}{values}"


def _panels(
    figure: FigureAnalysis, labels: dict[tuple[str, str], str], left: int, width: Width, *, shares: bool, last: bool
) -> dict[str, Any]:
    rows = list(_rows(figure, labels))
    whole = max(120, TOTAL[width] - left - 14 - 12)
    both = max(120, whole - 26)
    mark = "estimated " if figure.estimated else ""
    order = [row["label"] for row in rows]
    y = {
        "field": "label",
        "type": "nominal",
        "sort": order,
        "title": None,
        "axis": {"labelLimit": left, "ticks": False, "domain": False},
    }
    without = {**y, "axis": None}
    if shares:
        panels = [_change_panel(rows, y, both // 2, last), _share_panel(rows, without, both // 2, last)]
    else:
        panels = [_change_panel(rows, y, whole, last)]
    return {
        "title": {"text": f"{mark}{figure.label}".capitalize()},
        "data": {"values": rows},
        "hconcat": panels,
        "spacing": 26,
    }


def _change_panel(rows: Sequence[dict[str, Any]], y: dict[str, Any], width: int, last: bool) -> dict[str, Any]:
    values = [row[key] for row in rows for key in ("ratio", "low", "high") if row.get(key)]
    low, high = min([*values, 0.8]), max([*values, 1.25])
    scale = {"type": "log", "domain": [low * 0.85, high * 1.15], "nice": False}
    ticks = [t for t in (_TICKS if width > 150 else _FEW_TICKS) if low * 0.85 <= t <= high * 1.15]
    axis = {
        "values": ticks,
        "labelExpr": "'×' + format(datum.value, ',.2~f')",
        "grid": True,
        "labelOverlap": True,
    }
    x = {
        "field": "ratio",
        "type": "quantitative",
        "scale": scale,
        "axis": axis,
        "title": ("second value ÷ first value" if width > 150 else "second ÷ first") if last else None,
    }
    return {
        "width": width,
        "height": {"step": _ROW_PX},
        "layer": [
            {
                "data": {"values": [{}]},
                "mark": {"type": "rule", "color": MUTED, "strokeDash": [2, 2]},
                "encoding": {"x": {"datum": 1, "type": "quantitative", "scale": scale}},
            },
            {
                "transform": [{"filter": "isValid(datum.low)"}],
                "mark": {"type": "rule", "color": SERIES[0], "strokeWidth": 2},
                "encoding": {"y": y, "x": {**x, "field": "low"}, "x2": {"field": "high"}},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 55, "stroke": SERIES[0], "opacity": 1},
                "encoding": {
                    "y": y,
                    "x": x,
                    "fill": {"condition": {"test": "isValid(datum.low)", "value": SERIES[0]}, "value": BG},
                    "tooltip": _TOOLTIP,
                },
            },
        ],
    }


def _share_panel(rows: Sequence[dict[str, Any]], y: dict[str, Any], width: int, last: bool) -> dict[str, Any]:
    scale = {"domain": [0, 1], "clamp": True}
    axis = {"format": ".0%", "grid": True, "values": [0, 0.25, 0.5, 0.75, 1]}
    x = {
        "type": "quantitative",
        "scale": scale,
        "axis": axis,
        "title": ("share of variance" if width > 120 else "share") if last else None,
    }
    return {
        "width": width,
        "height": {"step": _ROW_PX},
        "layer": [
            {
                "mark": {"type": "bar", "height": 13, "fill": GRID, "stroke": MUTED, "strokeWidth": 1},
                "encoding": {"y": y, "x": {**x, "field": "total"}, "tooltip": _TOOLTIP},
            },
            {
                "mark": {"type": "bar", "height": 7, "fill": SERIES[0]},
                "encoding": {"y": y, "x": {**x, "field": "share"}, "tooltip": _TOOLTIP},
            },
            {
                "transform": [{"filter": "isValid(datum.total_low)"}],
                "mark": {"type": "rule", "color": FG, "strokeWidth": 1.5},
                "encoding": {"y": y, "x": {**x, "field": "total_low"}, "x2": {"field": "total_high"}},
            },
        ],
    }


_TOOLTIP = [
    {"field": "parameter", "title": "parameter"},
    {"field": "what", "title": "change"},
    {"field": "how_much", "title": "share of variance"},
]


def _rows(figure: FigureAnalysis, labels: dict[tuple[str, str], str]) -> Iterator[dict[str, Any]]:
    mark = "~" if figure.estimated else ""
    for effect in figure.effects[:MOST_PARAMETERS]:
        contrast = effect.contrast
        ratio, total = contrast.ratio_interval, effect.share_total_interval
        change_text = f", {mark}{change(contrast.ratio)}"
        yield {
            "label": labels[figure.name, effect.parameter],
            "parameter": effect.parameter,
            "ratio": contrast.ratio,
            "low": max(ratio.low, 1e-4) if ratio else None,
            "high": ratio.high if ratio else None,
            "share": effect.share,
            "total": effect.share_total,
            "total_low": total.low if total else None,
            "total_high": total.high if total else None,
            "what": f"{as_written(contrast.start)} → {as_written(contrast.end)}{_between(contrast, mark, figure.unit)}{change_text}",
            "how_much": _how_much(effect),
        }


def _how_much(effect: Effect) -> str:
    if effect.share is None or effect.share_total is None:
        return "not told"
    return f"{percent(effect.share)} alone, {percent(effect.share_total)} with interactions"


def _between(contrast: Contrast, mark: str, unit: str) -> str:
    """`: 2.16 to 0.503 J`; nothing where the change is that of a model, which has no means of what ran."""
    if contrast.start_mean is None or contrast.end_mean is None:
        return ""
    return f": {mark}{amount(contrast.start_mean)} to {mark}{amount(contrast.end_mean)} {unit}"


def _caption(shown: Sequence[FigureAnalysis], nested: bool, shares: bool) -> str:
    text = (
        f"{'Left: two' if shares else 'Two'} values of each parameter, the second against the first, over the combinations of "
        "everything else that ran with both: from the worst to the best where an effect is told from noise, else from the first "
        "to the last (1 is no effect). "
    )
    if shares:
        text += (
            "Right: the share of the variance between configurations that it explains alone (solid) and with its interactions "
            "(outline), where every combination ran and something is told."
        )
    else:
        text += "No shares of variance: they take repetition, every combination, and an effect that is told from noise."
    effects = [effect for figure in shown for effect in figure.effects[:MOST_PARAMETERS]]
    if any(effect.contrast.ratio_interval for effect in effects):
        text += " Lines: 95 % intervals"
        text += "; hollow points have none." if not all(e.contrast.ratio_interval for e in effects) else "."
    else:
        text += " No intervals: too few cycles to tell any."
    if nested:
        text += " A backend's own parameters are judged among its configurations"
        text += "; their share is of the whole variance." if shares else "."
    left_out = max(len(figure.effects) for figure in shown) - MOST_PARAMETERS
    if left_out > 0:
        text += f" Of each figure the first {MOST_PARAMETERS} parameters are shown; {left_out} more are left out."
    return text


def _description(shown: Sequence[FigureAnalysis]) -> str:
    parts = []
    for figure in shown:
        ranked = ", ".join(f"{e.parameter} {change(e.contrast.ratio)}" for e in figure.effects[:MOST_PARAMETERS])
        parts.append(f"{figure.label}: {ranked}")
    return f"What parameters change, the largest effects first. {'. '.join(parts)}."


CHART = Chart("effects", TITLE, draw)
