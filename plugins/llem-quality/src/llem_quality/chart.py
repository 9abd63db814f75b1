"""Energy against quality: a point for each configuration that was asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llem_analysis.candidates import Candidate, candidates
from llem_analysis.loading import load_rows
from llem_analysis.metric_names import metric_specs
from llem_analysis.wording import amount, counted
from llem_report.charts import Drawn
from llem_report.charts.style import NUMBER, SERIES, SHAPES, TOTAL, Width, distinct_labels, document, quantity
from llem_report.models import ReportStudy

NAME, TITLE = "energy-quality", "Energy against accuracy"
ENERGY, ACCURACY = "j_per_request", "accuracy"
MOST = len(SHAPES)
"""Configurations that colour and shape tell apart."""

_ENDS = ("scenario_metrics.accuracy_low", "scenario_metrics.accuracy_high")
_WORD = "configuration"


def draw(study: ReportStudy, width: Width = "double") -> Drawn:
    """Energy per question over accuracy, whose interval is over questions."""
    specs = metric_specs([ENERGY, ACCURACY])
    found = candidates(load_rows(study.directory, specs, _ENDS), specs)
    having = [one for one in found if ENERGY in one.figures and ACCURACY in one.figures]
    if not having:
        return _absent("No configuration has both energy and an accuracy above 0.")
    if len({kind for one in having for kind in one.kinds}) > 1:
        return _absent(
            "Energy was found by different methods or of different devices, and cannot be compared across them."
        )
    shown = having[:MOST]
    labels = distinct_labels([one.label for one in shown], 100 if width == "double" else 50)
    points = [_point(one, label) for one, label in zip(shown, labels, strict=True)]
    estimated = any(one.estimated for one in shown)
    return Drawn(
        NAME,
        TITLE,
        document(_view(points, labels, width, estimated=estimated)),
        _caption(points, len(found) - len(shown), estimated=estimated),
        f"Energy per question of {counted(len(shown), 'configuration')} by accuracy. {_told(points)}.",
        width=width,
    )


def _absent(why: str) -> Drawn:
    return Drawn(NAME, TITLE, None, why_not=why)


def _point(one: Candidate, label: str) -> dict[str, Any]:
    low, high = (next((row[name] for row in one.rows if row.get(name) is not None), None) for name in _ENDS)
    energy = one.figures[ENERGY]
    interval = energy.interval
    return {
        _WORD: label,
        "x": one.figures[ACCURACY].mean,
        "x_low": low,
        "x_high": high,
        "y": energy.mean,
        "y_low": None if interval is None else interval.low,
        "y_high": None if interval is None else interval.high,
    }


def _view(points: Sequence[dict[str, Any]], labels: Sequence[str], width: Width, *, estimated: bool) -> dict[str, Any]:
    shown = {"grid": True, "format": NUMBER, "labelOverlap": True, "tickCount": 6}
    x = {"type": "quantitative", "scale": {"zero": False, "padding": 14}, "title": "accuracy (better →)", "axis": shown}
    title = quantity("energy per question", "J", estimated=estimated)
    y = {"type": "quantitative", "scale": {"domainMin": 0, "nice": True}, "title": title, "axis": shown}
    legend = {"title": None, "orient": "top", "columns": 1 if max(map(len, labels)) > 30 else 3, "symbolSize": 60}
    colour = {
        "field": _WORD,
        "type": "nominal",
        "scale": {"domain": list(labels), "range": list(SERIES[: len(labels)])},
        "legend": legend if len(labels) > 1 else None,
    }
    shape = {**colour, "scale": {"domain": list(labels), "range": list(SHAPES[: len(labels)])}}
    rule = {"type": "rule", "strokeWidth": 1.2}
    tooltip = [
        {"field": _WORD},
        {"field": "x", "title": "accuracy", "format": NUMBER},
        {"field": "y", "title": "J per question", "format": NUMBER},
    ]
    layer = [
        {
            "data": {"values": [one for one in points if one["x_low"] is not None]},
            "mark": rule,
            "encoding": {
                "x": {**x, "field": "x_low"},
                "x2": {"field": "x_high"},
                "y": {**y, "field": "y"},
                "color": colour,
            },
        },
        {
            "data": {"values": [one for one in points if one["y_low"] is not None]},
            "mark": rule,
            "encoding": {
                "x": {**x, "field": "x"},
                "y": {**y, "field": "y_low"},
                "y2": {"field": "y_high"},
                "color": colour,
            },
        },
        {
            "data": {"values": list(points)},
            "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
            "encoding": {
                "x": {**x, "field": "x"},
                "y": {**y, "field": "y"},
                "color": colour,
                "shape": shape,
                "tooltip": tooltip,
            },
        },
    ]
    return {"width": TOTAL[width] - 70, "height": 260, "layer": layer}


def _caption(points: Sequence[dict[str, Any]], left_out: int, *, estimated: bool) -> str:
    text = (
        "A point for each configuration: energy of the window over the questions asked in it, and the share that was answered "
        "correctly. Horizontal lines are 95 % intervals of accuracy over questions"
    )
    has_intervals = any(one["y_low"] is not None for one in points)
    text += ", vertical ones of energy over cycles." if has_intervals else "; too few cycles for intervals of energy."
    if left_out:
        text += (
            f" {counted(left_out, 'configuration')} left out: without one of the figures, or beyond the first {MOST}."
        )
    return text + (
        " Energy is an estimate (CPU utilisation times rated power), not a measurement." if estimated else ""
    )


def _told(points: Sequence[dict[str, Any]]) -> str:
    return "; ".join(f"{one[_WORD]}: accuracy {amount(one['x'])}, {amount(one['y'])} J" for one in points)
