"""Energy against throughput and latency: what is worth choosing among, the front marked by line, fill and number."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llem_analysis.front import on_front
from llem_analysis.metric_names import METRIC_SPECS
from llem_analysis.wording import counted
from llem_report.charts.drawn import Chart, Drawn
from llem_report.charts.style import (
    BG,
    FG,
    MUTED,
    NUMBER,
    SERIES,
    SHAPES,
    TOTAL,
    Width,
    document,
    quantity,
    spans_decades,
)
from llem_report.models import ReportConfiguration, ReportStudy

ENERGY = "j_per_output_token"
AGAINST = (("tokens_per_s",), ("ttft_p50_s", "e2e_p50_s"))
"""Energy is drawn against the first of each that enough configurations have."""

MOST_POINTS = 1_000
CELLS = 40
"""Above so many configurations those off the front are brought together in cells, so many along each axis."""

MOST_ON_FRONT = 300
"""Of a longer front every so many-th configuration is drawn."""

MOST_NUMBERED = 9
TITLE = "Energy against speed"


@dataclass(frozen=True)
class _Panel:
    """One pair of quantities with its configurations, and which of them are on the front."""

    by: str
    points: Sequence[ReportConfiguration]
    flags: Sequence[bool]


def draw(study: ReportStudy, width: Width = "double") -> Drawn:
    """Energy per output token against throughput and latency, a point for each configuration."""
    having = [c for c in study.configurations if ENERGY in c.figures]
    if not having:
        return CHART.absent("No energy was measured or estimated, so that there is nothing to weigh speed against.")
    if len({(c.scope, c.method) for c in having}) > 1:
        return CHART.absent(
            "Energy was found by different methods or of different devices, and cannot be ranked across them."
        )
    panels = [panel for names in AGAINST if (panel := _panel(having, names)) is not None]
    if not panels:
        return CHART.absent(
            "Fewer than two configurations have both energy and a speed, so that there is nothing to weigh."
        )
    backends = list(dict.fromkeys(str(c.backend) for c in having))
    numbers = _numbers(panels)
    gap = 70
    each = TOTAL[width] - gap if width == "single" or len(panels) == 1 else (TOTAL[width] - 2 * gap) // 2
    views = [_view(panel, backends, numbers, each, having[0].estimated) for panel in panels]
    concat = {"vconcat": views} if width == "single" else {"hconcat": views}
    return Drawn(
        CHART.name, TITLE, document(concat), _caption(panels, numbers, having), _description(panels), width=width
    )


def _panel(having: Sequence[ReportConfiguration], names: Sequence[str]) -> _Panel | None:
    for name in names:
        points = [c for c in having if name in c.figures]
        if len(points) > 1:
            values = [[c.figures[ENERGY].mean, c.figures[name].mean] for c in points]
            return _Panel(name, points, on_front(values, [METRIC_SPECS[ENERGY], METRIC_SPECS[name]]))
    return None


def _numbers(panels: Sequence[_Panel]) -> dict[int, int]:
    """Configurations on a front (by identity) with the numbers that the caption explains."""
    found: dict[int, int] = {}
    for panel in panels:
        front = [c for c, flag in zip(panel.points, panel.flags, strict=True) if flag]
        for one in sorted(front, key=lambda c: c.figures[ENERGY].mean):
            if len(found) < MOST_NUMBERED:
                found.setdefault(id(one), len(found) + 1)
    return found


def _view(
    panel: _Panel, backends: Sequence[str], numbers: Mapping[int, int], width: int, estimated: bool
) -> dict[str, Any]:
    spec, energy = METRIC_SPECS[panel.by], METRIC_SPECS[ENERGY]
    xs = [c.figures[panel.by].mean for c in panel.points]
    ys = [c.figures[ENERGY].mean for c in panel.points]
    front = [_datum(c, panel.by, numbers) for c, flag in zip(panel.points, panel.flags, strict=True) if flag]
    others = [_datum(c, panel.by, numbers) for c, flag in zip(panel.points, panel.flags, strict=True) if not flag]
    if len(others) > MOST_POINTS:
        others = _cells(others, xs, ys)
    front.sort(key=lambda point: point["x"])
    if len(front) > MOST_ON_FRONT:
        every = math.ceil(len(front) / MOST_ON_FRONT)
        front = [
            point
            for place, point in enumerate(front)
            if place % every == 0 or point["number"] or place == len(front) - 1
        ]
    x = _axis("x", xs, quantity(spec.label, spec.unit), "(better →)" if spec.better == "higher" else "(← better)")
    y = _axis("y", ys, quantity(energy.label, energy.unit, estimated=estimated), "")
    tooltip = [
        {"field": "label", "title": "configuration"},
        {"field": "x", "title": f"{spec.label}, {spec.unit}", "format": NUMBER},
        {"field": "y", "title": f"{energy.label}, {energy.unit}", "format": NUMBER},
    ]
    colour = {
        "field": "backend",
        "type": "nominal",
        "scale": {"domain": list(backends), "range": list(SERIES[: len(backends)])},
        "legend": {"title": None, "orient": "top", "symbolFillColor": "transparent"} if len(backends) > 1 else None,
    }
    shape = {
        **colour,
        "scale": {"domain": list(backends), "range": [SHAPES[n % len(SHAPES)] for n in range(len(backends))]},
    }
    place = {"x": x, "y": y, "color": colour, "shape": shape, "tooltip": tooltip}
    layer: list[dict[str, Any]] = [
        {
            "data": {"values": front},
            "mark": {
                "type": "line",
                "color": FG,
                "strokeWidth": 1.2,
                "strokeDash": [4, 3],
                "interpolate": _steps(spec.better),
            },
            "encoding": {"x": x, "y": y},
        },
        {
            "data": {"values": others},
            "mark": {"type": "point", "filled": False, "strokeWidth": 1.3, "opacity": 0.75},
            "encoding": {**place, "size": {"field": "size", "type": "quantitative", "scale": None, "legend": None}},
        },
        *_intervals(front, x, y),
        {
            "data": {"values": front},
            "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1, "stroke": BG, "strokeWidth": 0.8},
            "encoding": place,
        },
        {
            "data": {"values": _numbered(front, xs, ys)},
            "mark": {
                "type": "text",
                "align": "left",
                "dy": -10,
                "dx": 5,
                "fontSize": 11,
                "fontWeight": "bold",
                "color": FG,
                "stroke": None,
            },
            "encoding": {"x": x, "y": y, "text": {"field": "number"}},
        },
    ]
    return {"width": width, "height": round(min(width, 340) * 0.8), "layer": layer}


def _steps(better: str) -> str:
    """From point to point by the corner that is worse in both: what lies beyond it the front beats."""
    return "step-before" if better == "higher" else "step-after"


def _axis(channel: str, values: Sequence[float], title: str, hint: str) -> dict[str, Any]:
    scale: dict[str, Any] = (
        {"type": "log", "nice": False, "padding": 14} if spans_decades(values) else {"domainMin": 0, "nice": True}
    )
    axis: dict[str, Any] = {"grid": True, "labelFlush": False, "format": NUMBER, "labelOverlap": True, "tickCount": 6}
    if scale.get("type") == "log":
        low, high = min(values), max(values)
        steps = [d * 10.0**power for power in range(-6, 7) for d in (1, 2, 5)]
        axis["values"] = [float(f"{v:.3g}") for v in steps if low / 1.6 <= v <= high * 1.6]
    return {
        "field": channel,
        "type": "quantitative",
        "scale": scale,
        "title": f"{title} {hint}".rstrip(),
        "axis": axis,
    }


def _intervals(front: Sequence[Mapping[str, Any]], x: Mapping[str, Any], y: Mapping[str, Any]) -> list[dict[str, Any]]:
    rule = {"type": "rule", "color": MUTED, "strokeWidth": 1.2}
    with_y = [point for point in front if point.get("y_low") is not None and point["y_low"] > 0]
    with_x = [point for point in front if point.get("x_low") is not None and point["x_low"] > 0]
    return [
        {
            "data": {"values": with_y},
            "mark": rule,
            "encoding": {"x": x, "y": {**y, "field": "y_low"}, "y2": {"field": "y_high"}},
        },
        {
            "data": {"values": with_x},
            "mark": rule,
            "encoding": {"y": y, "x": {**x, "field": "x_low"}, "x2": {"field": "x_high"}},
        },
    ]


def _datum(one: ReportConfiguration, by: str, numbers: Mapping[int, int]) -> dict[str, Any]:
    speed, energy = one.figures[by], one.figures[ENERGY]
    return {
        "label": one.label,
        "backend": str(one.backend),
        "x": speed.mean,
        "y": energy.mean,
        "x_low": speed.low,
        "x_high": speed.high,
        "y_low": energy.low,
        "y_high": energy.high,
        "number": str(numbers.get(id(one), "")),
        "size": 45,
    }


def _numbered(front: Sequence[dict[str, Any]], xs: Sequence[float], ys: Sequence[float]) -> list[dict[str, Any]]:
    """Numbers to write beside points; those of points that lie too close for two stand together."""
    across, up = _placing(xs), _placing(ys)
    found: list[dict[str, Any]] = []
    for point in sorted((p for p in front if p["number"]), key=lambda p: int(p["number"])):
        for other in found:
            near = abs(across(point["x"]) - across(other["x"])) < 0.06 and abs(up(point["y"]) - up(other["y"])) < 0.06
            if near:
                other["number"] += f", {point['number']}"
                break
        else:
            found.append({key: point[key] for key in ("x", "y", "number")})
    return found


def _placing(among: Sequence[float]) -> Callable[[float], float]:
    """A function that tells where a value lies on the axis of these, from 0 to 1."""
    take = math.log if spans_decades(among) else float
    low, high = take(min(among)), take(max(among))
    return lambda value: (take(value) - low) / ((high - low) or 1.0)


def _cells(points: Sequence[dict[str, Any]], xs: Sequence[float], ys: Sequence[float]) -> list[dict[str, Any]]:
    """Points that fall into one cell as one, at their mean, larger the more there are."""

    across, up = _placing(xs), _placing(ys)

    def cell_of(point: Mapping[str, Any]) -> tuple[str, int, int]:
        column, row = (min(CELLS - 1, int(part * CELLS)) for part in (across(point["x"]), up(point["y"])))
        return point["backend"], column, row

    found: dict[tuple[str, int, int], list[dict[str, Any]]] = {}
    for point in points:
        found.setdefault(cell_of(point), []).append(point)
    most = max(len(cell) for cell in found.values())
    return [
        {
            "label": cell[0]["label"] if len(cell) == 1 else counted(len(cell), "configuration"),
            "backend": backend,
            "x": sum(point["x"] for point in cell) / len(cell),
            "y": sum(point["y"] for point in cell) / len(cell),
            "size": 12 + 120 * len(cell) / most,
        }
        for (backend, _, _), cell in found.items()
    ]


def _caption(panels: Sequence[_Panel], numbers: Mapping[int, int], having: Sequence[ReportConfiguration]) -> str:
    named = {id(c): c.label for panel in panels for c in panel.points}
    listed = "; ".join(f"{number}: {named[key]}" for key, number in numbers.items())
    text = (
        "A point for each configuration, mean over its cycles; lower energy is better. Filled points on the dashed line are the "
        "Pareto front: no other configuration is better in one of the two without being worse in the other. "
        f"{listed}."
    )
    if any(c.figures[ENERGY].low is not None for panel in panels for c in panel.points):
        text += " Grey lines: 95 % intervals over cycles of the front."
    if any(len(panel.points) - sum(panel.flags) > MOST_POINTS for panel in panels):
        text += " Configurations off the front are brought together where they lie close; larger points stand for more."
    if (most := max(sum(panel.flags) for panel in panels)) > MOST_ON_FRONT:
        text += f" Of the front's {most:,} configurations about {MOST_ON_FRONT} are drawn."
    left_out = len(having) - min(len(panel.points) for panel in panels)
    if left_out:
        text += f" {counted(left_out, 'configuration')} without one of the figures left out."
    if having[0].estimated:
        text += " Energy is an estimate (CPU utilisation times rated power), not a measurement."
    return text


def _description(panels: Sequence[_Panel]) -> str:
    parts = [
        f"{METRIC_SPECS[panel.by].label}: {sum(panel.flags)} of {counted(len(panel.points), 'configuration')} on the front"
        for panel in panels
    ]
    return f"Energy per output token against {'; against '.join(parts)}."


CHART = Chart("pareto", TITLE, draw)
