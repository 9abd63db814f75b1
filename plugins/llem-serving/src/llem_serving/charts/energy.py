"""Energy per good token against rate, with the edge of the objectives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llem_analysis.metric_names import METRIC_SPECS
from llem_analysis.wording import amount, counted
from llem_report.charts import Drawn
from llem_report.charts.style import BG, NUMBER, Width, document, quantity
from llem_report.models import ReportStudy
from llem_serving.charts import drawing
from llem_serving.charts.curves import ENERGY, Curve, Loads, Point, loads_of
from llem_serving.judging.asked import limits_text
from llem_serving.judging.shares import share_text

NAME = "energy-rate"
TITLE = "Energy per good token against rate"
_HEIGHT_PX = 260


def draw(study: ReportStudy, width: Width = "double") -> Drawn:
    """A curve for each configuration over the rates that were offered, means over cycles with their intervals."""
    loads = loads_of(study.directory, [ENERGY])
    if not loads.curves:
        return _absent("No load has run: this chart is of the scenario server.")
    if len(loads.kinds) > 1:
        return _absent(
            "Energy was found by different methods or of different devices, and cannot be compared across them."
        )
    if not any(ENERGY in point.figures for curve in loads.curves for point in curve.points):
        return _absent(
            "No run has energy of good tokens: it was not measured, no request was good, or warnings void it."
        )
    shown = loads.curves[: drawing.MOST]
    labels = drawing.labels_of(shown, width)
    return Drawn(
        NAME,
        TITLE,
        document(_view(loads, shown, labels, width)),
        _caption(loads, shown, labels),
        _description(shown, labels),
        width=width,
    )


def _absent(why: str) -> Drawn:
    return Drawn(NAME, TITLE, None, why_not=why)


def _view(loads: Loads, shown: Sequence[Curve], labels: Sequence[str], width: Width) -> dict[str, Any]:
    points = [_datum(point, label) for curve, label in zip(shown, labels, strict=True) for point in curve.points]
    drawn = [point for point in points if point["y"] is not None]
    spec = METRIC_SPECS[ENERGY]
    x = drawing.axis([point["x"] for point in points], "offered rate, requests/s")
    y = drawing.axis(
        [v for p in drawn for v in (p["y"], p["low"], p["high"]) if v is not None and v > 0],
        quantity(spec.label, spec.unit, estimated=loads.estimated),
        room=True,
    )
    channels = drawing.series(labels)
    edges = [
        {"x": curve.edge, drawing.WORD: label}
        for curve, label in zip(shown, labels, strict=True)
        if curve.edge is not None
    ]
    marks = [point for point in points if point["mark"]]
    layer: list[dict[str, Any]] = [
        {
            "data": {"values": edges},
            "mark": {"type": "rule", "strokeDash": [2, 3], "strokeWidth": 1.4},
            "encoding": {"x": {**x, "field": "x"}, "color": channels["color"]},
        },
        *(_lines(shown, labels, x, y, channels, is_within=is_within) for is_within in (True, False)),
        drawing.interval_layer(drawn, x, y, channels),
        *(_points(drawn, x, y, channels, is_kept=is_kept) for is_kept in (True, False)),
        *drawing.apart(marks, x, y, channels),
    ]
    return {"width": drawing.plot_px(width), "height": _HEIGHT_PX, "layer": layer}


def _lines(
    shown: Sequence[Curve],
    labels: Sequence[str],
    x: dict[str, Any],
    y: dict[str, Any],
    channels: dict[str, Any],
    *,
    is_within: bool,
) -> dict[str, Any]:
    """Lines between points that keep the objectives, or those that reach beyond."""
    values = [
        {**line, drawing.WORD: label}
        for curve, label in zip(shown, labels, strict=True)
        for one, other, line in drawing.segments(curve, _place)
        if is_within == (one.kept is not False and other.kept is not False)
    ]
    dash = {} if is_within else {"strokeDash": [5, 4]}
    return {
        "data": {"values": values},
        "mark": {"type": "rule", "strokeWidth": 1.6, **dash},
        "encoding": {
            "x": {**x, "field": "x"},
            "x2": {"field": "x2"},
            "y": {**y, "field": "y"},
            "y2": {"field": "y2"},
            "color": channels["color"],
        },
    }


def _points(
    drawn: Sequence[dict[str, Any]], x: dict[str, Any], y: dict[str, Any], channels: dict[str, Any], *, is_kept: bool
) -> dict[str, Any]:
    tooltip = [
        {"field": "label", "title": drawing.WORD},
        {"field": "x", "title": "offered rate, requests/s", "format": NUMBER},
        {"field": "y", "title": "J per good token", "format": NUMBER},
        {"field": "attainment"},
        {"field": "runs", "title": "cycles"},
    ]
    mark = {"type": "point", "size": 70, "opacity": 1, "strokeWidth": 1.6, "filled": is_kept}
    return {
        "data": {"values": [point for point in drawn if point["kept"] is is_kept]},
        "mark": mark if is_kept else {**mark, "fill": BG},
        "encoding": {"x": {**x, "field": "x"}, "y": {**y, "field": "y"}, **channels, "tooltip": tooltip},
    }


def _place(point: Point) -> tuple[float, float] | None:
    figure = point.figures.get(ENERGY)
    return None if figure is None or point.state == "saturated" else (point.rate, figure.mean)


def _datum(point: Point, label: str) -> dict[str, Any]:
    place, figure = _place(point), point.figures.get(ENERGY)
    interval = None if place is None or figure is None else figure.interval
    is_saturated = point.state == "saturated"
    return {
        drawing.WORD: label,
        "label": point.label,
        "x": point.rate,
        "y": None if place is None else place[1],
        "low": None if interval is None else interval.low,
        "high": None if interval is None else interval.high,
        "kept": point.kept is not False,
        "attainment": "not told" if point.attainment is None else share_text(point.attainment),
        "runs": point.runs,
        "mark": drawing.MARK if is_saturated else drawing.UNSTEADY if point.state == "unsteady" and place else "",
    }


def _caption(loads: Loads, shown: Sequence[Curve], labels: Sequence[str]) -> str:
    text = "Energy of the window over the output tokens of good requests, mean over cycles"
    has_intervals = any(
        point.figures[ENERGY].interval is not None
        for curve in shown
        for point in curve.points
        if ENERGY in point.figures
    )
    text += "; vertical bars are 95 % intervals over cycles." if has_intervals else "; too few cycles for intervals."
    if loads.slo is not None:
        text += (
            f" Good requests keep {limits_text(loads.slo)}. Filled points: at least {share_text(loads.slo.attainment)} of requests "
            "did; hollow points and dashed lines: fewer."
        )
        text += _edges(shown, labels)
    elif loads.is_mixed:
        text += " Experiments were judged by objectives that differ, so that no edge is drawn."
    else:
        text += " The study has no limits (slo): every answered request is good."
    text += drawing.state_sentences(loads, "figure")
    if loads.estimated:
        text += " Energy is an estimate (CPU utilisation times rated power), not a measurement."
    return text + drawing.left_out(loads, shown)


def _edges(shown: Sequence[Curve], labels: Sequence[str]) -> str:
    """Sentences on the rates beyond which the objectives are missed."""
    found = ""
    if any(curve.edge is not None for curve in shown):
        found += (
            " Dotted vertical lines: the highest rate up to which a configuration kept them and was steady; its limit lies between "
            "there and the next rate that was tried."
        )
    told = list(zip(shown, labels, strict=True))
    if always := [label for curve, label in told if curve.within == len(curve.points)]:
        found += f" Kept at every rate: {drawing.listed(always)}."
    if never := [label for curve, label in told if curve.within == 0]:
        found += f" Not kept at the lowest rate: {drawing.listed(never)}."
    return found


def _description(shown: Sequence[Curve], labels: Sequence[str]) -> str:
    parts = []
    for curve, label in zip(shown, labels, strict=True):
        told = [place for point in curve.points if (place := _place(point)) is not None]
        if told:
            lowest = min(told, key=lambda place: place[1])
            edge = "" if curve.edge is None else f", objectives kept up to {amount(curve.edge)} requests/s"
            parts.append(f"{label}: lowest {amount(lowest[1])} J at {amount(lowest[0])} requests/s{edge}")
    return f"Energy per good token of {counted(len(shown), 'configuration')} by rate. {'; '.join(parts)}."
