"""Parts that the charts of loads have in common: axes, segments between neighbours, marks of what stands apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from llem_analysis.wording import and_, counted
from llem_report.charts.style import NUMBER, SERIES, SHAPES, TOTAL, Width, distinct_labels, spans_decades
from llem_serving.charts.curves import Curve, Loads, Point

MOST = len(SHAPES)
"""Curves that colour and shape tell apart."""

MARK = "\N{MULTIPLICATION SIGN}"
"""At the edge of a chart: the load saturated the engine, and there is no figure."""

UNSTEADY = "u"
"""Beside a point: no steady state came."""

WORD = "configuration"


def labels_of(curves: Sequence[Curve], width: Width) -> list[str]:
    """The labels of curves in a legend."""
    return distinct_labels([curve.label for curve in curves], 100 if width == "double" else 50)


def series(labels: Sequence[str]) -> dict[str, Any]:
    """Channels of colour and shape by label, with a legend where there are several."""
    legend = {"title": None, "orient": "top", "columns": 1 if max(map(len, labels)) > 30 else 3, "symbolSize": 60}
    colour = {
        "field": WORD,
        "type": "nominal",
        "scale": {"domain": list(labels), "range": list(SERIES[: len(labels)])},
        "legend": legend if len(labels) > 1 else None,
    }
    shape = {**colour, "scale": {"domain": list(labels), "range": list(SHAPES[: len(labels)])}}
    return {"color": colour, "shape": shape}


def axis(values: Sequence[float], title: str, *, room: bool = False) -> dict[str, Any]:
    """A quantitative channel, without its field: from 0 on, or logarithmic where its values span decades.

    Args:
        room: above the highest value there is room for the marks of what has none.
    """
    shown: dict[str, Any] = {"grid": True, "format": NUMBER, "labelOverlap": True, "labelFlush": False, "tickCount": 6}
    if not spans_decades(values):
        scale: dict[str, Any] = {"domainMin": 0, "nice": True}
        if room and values:
            scale["domainMax"] = max(values) * 1.18
        return {"type": "quantitative", "scale": scale, "title": title, "axis": shown}
    low, high = min(values), max(values)
    steps = [d * 10.0**power for power in range(-6, 7) for d in (1, 2, 5)]
    shown["values"] = [float(f"{v:.3g}") for v in steps if low / 1.6 <= v <= high * 1.6]
    scale = {"type": "log", "nice": False, "padding": 26 if room else 14}
    return {"type": "quantitative", "scale": scale, "title": title, "axis": shown}


def segments(
    curve: Curve, place: Callable[[Point], tuple[float, float] | None]
) -> Iterator[tuple[Point, Point, dict[str, float]]]:
    """Lines between neighbours in rate. Points that were not steady, or lack a figure, are connected with nothing.

    Args:
        place: where a point stands; None where it has no figure.
    """
    for one, other in pairwise(curve.points):
        start, end = place(one), place(other)
        if one.is_sound and other.is_sound and start is not None and end is not None:
            yield one, other, {"x": start[0], "y": start[1], "x2": end[0], "y2": end[1]}


def apart(
    values: Sequence[Mapping[str, Any]],
    x: Mapping[str, Any],
    y: Mapping[str, Any],
    channels: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Layers of the marks beside points that were not steady, and of crosses for those without a figure.

    Args:
        values: `x`, `y` (None for a cross), `mark`, and the curve's label.
    """
    text = {"type": "text", "fontSize": 12, "fontWeight": "bold"}
    placed = [v for v in values if v["y"] is not None]
    crosses = [v for v in values if v["y"] is None]
    colour = {"color": channels["color"], "text": {"field": "mark"}}
    return [
        {
            "data": {"values": placed},
            "mark": {**text, "dy": -11},
            "encoding": {"x": {**x, "field": "x"}, "y": {**y, "field": "y"}, **colour},
        },
        {
            "data": {"values": crosses},
            "mark": {**text, "fontSize": 16},
            "encoding": {"x": {**x, "field": "x"}, "y": {"value": 8}, **colour},
        },
    ]


def interval_layer(
    values: Sequence[Mapping[str, Any]], x: Mapping[str, Any], y: Mapping[str, Any], channels: Mapping[str, Any]
) -> dict[str, Any]:
    """Vertical lines from `low` to `high`, of values that have them above 0."""
    return {
        "data": {"values": [v for v in values if v.get("low") is not None and v["low"] > 0]},
        "mark": {"type": "rule", "strokeWidth": 1.2},
        "encoding": {
            "x": {**x, "field": "x"},
            "y": {**y, "field": "low"},
            "y2": {"field": "high"},
            "color": channels["color"],
        },
    }


def plot_px(width: Width) -> int:
    """Width of a plot that has the page for itself, beside its axis."""
    return TOTAL[width] - 76


def left_out(loads: Loads, shown: Sequence[Curve]) -> str:
    """A sentence on curves that are too many; empty where all are there."""
    if len(shown) == len(loads.curves):
        return ""
    return f" The first {len(shown)} of {counted(len(loads.curves), WORD)} are shown."


def state_sentences(loads: Loads, what: str) -> str:
    """Sentences on the marks of points that stand in no curve; `what` is the figure that saturation leaves nothing of."""
    found = ""
    if "saturated" in loads.states:
        found += f" {MARK} at the top: in a cycle or more the engine did not keep up (saturated), and there is no {what} to show."
    if "unsteady" in loads.states:
        found += f" {UNSTEADY}: a cycle or more never became steady; such points stand by themselves."
    if "untested" in loads.states:
        found += " Some loads were not tested for a steady state: their figures are those of that stretch of load."
    return found


def listed(labels: Sequence[str]) -> str:
    """Labels in a sentence; of many the first ones."""
    return and_(labels) if len(labels) < 5 else f"{'; '.join(labels[:4])}; and {len(labels) - 4} more"
