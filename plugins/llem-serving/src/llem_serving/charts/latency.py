"""The latency-load curve: percentiles of latency against the rate that was achieved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llem_analysis.wording import amount, counted
from llem_report.charts import Drawn
from llem_report.charts.style import NUMBER, TOTAL, Width, document
from llem_report.models import ReportStudy
from llem_serving.charts import drawing
from llem_serving.charts.curves import ACHIEVED, Curve, Loads, Point, loads_of

NAME = "latency-load"
TITLE = "Latency under load"
MEASURES = (("ttft", "time to first token, ms"), ("tpot", "time per output token, ms"), ("e2e", "whole request, ms"))
PERCENTILES: tuple[tuple[int, str, list[int]], ...] = (
    (50, "solid the median", [1, 0]),
    (95, "dashed the 95th percentile", [6, 4]),
    (99, "dotted the 99th percentile", [2, 3]),
)
"""Percentile, its line in words, and its dash."""

_MOST_WITH_TAILS = 2
"""Of more curves than these the 99th percentile is left out: nobody could follow the lines."""

_HEIGHT_PX = 190


def draw(study: ReportStudy, width: Width = "double") -> Drawn:
    """A panel for each latency, a line for each configuration and percentile."""
    names = [f"{name}_p{percentile}_s" for name, _ in MEASURES for percentile, *_ in PERCENTILES]
    loads = loads_of(study.directory, names)
    if not loads.curves:
        return _absent("No load has run: this chart is of the scenario server.")
    shown = loads.curves[: drawing.MOST]
    measures = [(name, title) for name, title in MEASURES if _told(shown, name)]
    if not measures:
        return _absent("No run has latencies that stand: the engine told no times, or warnings void them.")
    labels = drawing.labels_of(shown, width)
    percentiles = [one for one in PERCENTILES if one[0] < 99 or len(shown) <= _MOST_WITH_TAILS]
    beside = width == "double"
    gap = 74
    each = (TOTAL[width] - gap * len(measures)) // len(measures) if beside else drawing.plot_px(width)
    views = [_panel(shown, labels, name, title, percentiles, each) for name, title in measures]
    concat = {"hconcat": views, "spacing": 10} if beside else {"vconcat": views}
    drawn = [
        p
        for p, *_ in percentiles
        if any(f"{name}_p{p}_s" in one.figures for name, _ in measures for one in _points(shown))
    ]
    return Drawn(
        NAME,
        TITLE,
        document(concat),
        _caption(loads, shown, drawn),
        _description(shown, labels, measures[0]),
        width=width,
    )


def _absent(why: str) -> Drawn:
    return Drawn(NAME, TITLE, None, why_not=why)


def _points(shown: Sequence[Curve]) -> list[Point]:
    return [point for curve in shown for point in curve.points]


def _told(shown: Sequence[Curve], name: str) -> bool:
    return any(
        _place(point, name, percentile) is not None for point in _points(shown) for percentile, *_ in PERCENTILES
    )


def _place(point: Point, name: str, percentile: int) -> tuple[float, float] | None:
    """The place of a point's percentile: achieved rate, and milliseconds."""
    latency, achieved = point.figures.get(f"{name}_p{percentile}_s"), point.figures.get(ACHIEVED)
    if latency is None or achieved is None or point.state == "saturated":
        return None
    return achieved.mean, latency.mean * 1000


def _panel(
    shown: Sequence[Curve],
    labels: Sequence[str],
    name: str,
    title: str,
    percentiles: Sequence[tuple[int, str, list[int]]],
    width: int,
) -> dict[str, Any]:
    told = list(zip(shown, labels, strict=True))
    points = [
        _datum(point, label, name, percentile)
        for curve, label in told
        for point in curve.points
        for percentile, *_ in percentiles
    ]
    drawn = [one for one in points if one["y"] is not None]
    saturated = [
        {drawing.WORD: label, "x": _at(point), "y": None, "mark": drawing.MARK}
        for curve, label in told
        for point in curve.points
        if point.state == "saturated"
    ]
    x = drawing.axis([one["x"] for one in [*drawn, *saturated]], "achieved rate, requests/s")
    heights = [v for one in drawn for v in (one["y"], one["low"], one["high"]) if v is not None and v > 0]
    y = drawing.axis(heights, title, room=True)
    channels = drawing.series(labels)
    lines = [_lines(told, name, percentile, dash, x, y, channels) for percentile, _, dash in percentiles]
    tooltip = [
        {"field": "label", "title": drawing.WORD},
        {"field": "percentile"},
        {"field": "x", "title": "achieved rate, requests/s", "format": NUMBER},
        {"field": "y", "title": title, "format": NUMBER},
    ]
    layer = [
        *lines,
        drawing.interval_layer(drawn, x, y, channels),
        {
            "data": {"values": drawn},
            "mark": {"type": "point", "size": 34, "filled": True, "opacity": 1},
            "encoding": {"x": {**x, "field": "x"}, "y": {**y, "field": "y"}, **channels, "tooltip": tooltip},
        },
        *drawing.apart([*(one for one in drawn if one["mark"]), *saturated], x, y, channels),
    ]
    return {"width": width, "height": _HEIGHT_PX, "layer": layer}


def _lines(
    told: Sequence[tuple[Curve, str]],
    name: str,
    percentile: int,
    dash: Sequence[int],
    x: dict[str, Any],
    y: dict[str, Any],
    channels: dict[str, Any],
) -> dict[str, Any]:
    """The lines of one percentile, of every curve."""

    def place(point: Point) -> tuple[float, float] | None:
        return _place(point, name, percentile)

    values = [{**line, drawing.WORD: label} for curve, label in told for *_, line in drawing.segments(curve, place)]
    return {
        "data": {"values": values},
        "mark": {"type": "rule", "strokeWidth": 1.5, "strokeDash": list(dash)},
        "encoding": {
            "x": {**x, "field": "x"},
            "x2": {"field": "x2"},
            "y": {**y, "field": "y"},
            "y2": {"field": "y2"},
            "color": channels["color"],
        },
    }


def _at(point: Point) -> float:
    """The achieved rate; where a warning leaves none, the one that was asked for."""
    achieved = point.figures.get(ACHIEVED)
    return point.rate if achieved is None else achieved.mean


def _datum(point: Point, label: str, name: str, percentile: int) -> dict[str, Any]:
    place, figure = _place(point, name, percentile), point.figures.get(f"{name}_p{percentile}_s")
    interval = None if place is None or figure is None else figure.interval
    return {
        drawing.WORD: label,
        "label": point.label,
        "percentile": f"{percentile}th",
        "x": _at(point),
        "y": None if place is None else place[1],
        "low": None if interval is None else interval.low * 1000,
        "high": None if interval is None else interval.high * 1000,
        "mark": drawing.UNSTEADY if point.state == "unsteady" and place is not None else "",
    }


def _caption(loads: Loads, shown: Sequence[Curve], percentiles: Sequence[int]) -> str:
    words = [word for percentile, word, _ in PERCENTILES if percentile in percentiles]
    text = (
        f"Latency over the requests that arrived in the window, from their scheduled arrival on, against requests answered per second: "
        f"{', '.join(words)}, mean over cycles, each where ten requests lie beyond it."
    )
    if any(figure.interval is not None for point in _points(shown) for figure in point.figures.values()):
        text += " Vertical bars: 95 % intervals over cycles."
    if len(shown) > _MOST_WITH_TAILS:
        text += " The 99th percentile is left out."
    return text + drawing.state_sentences(loads, "latency") + drawing.left_out(loads, shown)


def _description(shown: Sequence[Curve], labels: Sequence[str], measure: tuple[str, str]) -> str:
    name, title = measure
    parts = []
    for curve, label in zip(shown, labels, strict=True):
        told = [place for point in curve.points if (place := _place(point, name, 50)) is not None]
        if told:
            first, last = told[0], told[-1]
            parts.append(
                f"{label}: median from {amount(first[1])} at {amount(first[0])} to {amount(last[1])} at {amount(last[0])} requests/s"
            )
    return f"Latency by achieved rate of {counted(len(shown), 'configuration')}, {title}. {'; '.join(parts)}."
