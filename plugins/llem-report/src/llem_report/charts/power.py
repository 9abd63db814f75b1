"""Power and temperature over time: the phases of a run, shaded, and what the devices took in each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llem.plugin_api import inside
from llem_analysis.metric_names import METRIC_SPECS
from llem_report.charts.choosing import ranking
from llem_report.charts.drawn import Chart, Drawn
from llem_report.charts.readings import Recording, recording
from llem_report.charts.style import (
    FG,
    MUTED,
    NUMBER,
    PHASE_COLOURS,
    PHASE_NAMES,
    SERIES,
    TOTAL,
    Width,
    document,
    short_label,
    shortened,
)
from llem_report.models import ReportConfiguration, ReportStudy

TITLE = "Power over time"
_TRIED = 12
"""Number of configurations at each end of the ranking that are looked at for one whose readings are there."""

_HEIGHT_PX = 110


def draw(study: ReportStudy, width: Width = "double") -> Drawn:
    """A panel for the best, the middle and the worst configuration, one run each."""
    by, ranked = ranking(study.configurations)
    panels: list[tuple[ReportConfiguration, Recording]] = []
    for candidates in _places(ranked):
        for one in candidates:
            if any(one is shown for shown, _ in panels):
                continue
            found = recording(inside(study.directory, one.directories[0]))
            if found is not None:
                panels.append((one, found))
                break
    if not panels:
        return CHART.absent(
            "No run that is done has readings of power over time."
            if study.configurations
            else "No run is done, so that there are no readings over time."
        )
    order = {id(one): number for number, one in enumerate(ranked)}
    panels.sort(key=lambda panel: order[id(panel[0])])
    hot = any(reading.temperature_c is not None for _, found in panels for reading in found.readings)
    present = [
        p
        for p in PHASE_COLOURS
        if any(name == p and end > start for _, found in panels for name, start, end in found.phases)
    ]
    plot = TOTAL[width] - (130 if hot else 64)
    views = [_panel(one, found, plot, present, last=one is panels[-1][0]) for one, found in panels]
    return Drawn(
        CHART.name,
        TITLE if not hot else "Power and temperature over time",
        document({"vconcat": views, "spacing": 16, "resolve": {"scale": {"x": "independent"}}}),
        _caption(panels, by, len(ranked), hot),
        _description(panels),
        width=width,
    )


def _places(ranked: Sequence[ReportConfiguration]) -> list[Sequence[ReportConfiguration]]:
    """Where to look for the best, the worst and the middle one: each with its neighbours."""
    middle = len(ranked) // 2
    return [ranked[:_TRIED], ranked[: -_TRIED - 1 : -1], ranked[middle : middle + _TRIED]]


def _panel(
    one: ReportConfiguration, found: Recording, width: int, present: Sequence[str], *, last: bool
) -> dict[str, Any]:
    start, end = found.phases[0][1], found.phases[-1][2]
    bands = [
        {"phase": PHASE_NAMES.get(name, name), "from": round(a, 3), "to": round(b, 3)}
        for name, a, b in found.phases
        if b > a
    ]
    rows = [
        {"t": round((r.start_s + r.end_s) / 2, 3), "power": r.power_w, "temperature": r.temperature_c}
        for r in found.readings
        if r.power_w is not None
    ]
    x = {
        "field": "t",
        "type": "quantitative",
        "scale": {"domain": [start, end], "nice": False},
        "title": "time since the measured window opened, s" if last else None,
        "axis": {"format": NUMBER, "grid": False, "tickCount": 8, "labelOverlap": True},
    }
    names = [PHASE_NAMES[phase] for phase in present]
    highest = max((row["power"] for row in rows if row["power"] is not None), default=0.0) or 1.0
    mark = " (estimate)" if one.estimated else ""
    layer: list[dict[str, Any]] = [
        {
            "data": {"values": bands},
            "mark": {"type": "rect", "opacity": 0.24},
            "encoding": {
                "x": {**x, "field": "from"},
                "x2": {"field": "to"},
                "color": {
                    "field": "phase",
                    "type": "nominal",
                    "scale": {"domain": names, "range": [PHASE_COLOURS[phase] for phase in present]},
                    "legend": {
                        "title": None,
                        "orient": "top",
                        "symbolOpacity": 0.4,
                        "columns": 3 if width < 400 else 0,
                        "values": names,
                    },
                },
                "tooltip": [
                    {"field": "phase"},
                    {"field": "from", "title": "from, s"},
                    {"field": "to", "title": "to, s"},
                ],
            },
        },
        {
            "data": {
                "values": [
                    {"from": a, "label": PHASE_NAMES[n][0].upper()}
                    for n, a, b in found.phases
                    if b - a > (end - start) * 12 / width
                ]
            },
            "mark": {"type": "text", "align": "left", "baseline": "top", "dx": 3, "fontSize": 10, "color": MUTED},
            "encoding": {"x": {**x, "field": "from"}, "y": {"value": 3}, "text": {"field": "label"}},
        },
        {
            "data": {"values": rows},
            "mark": {"type": "line", "color": FG, "strokeWidth": 1.4, "interpolate": "step"},
            "encoding": {
                "x": x,
                "y": {
                    "field": "power",
                    "type": "quantitative",
                    "scale": {"domain": [0, highest * 1.22], "nice": False},  # room for the phases' letters
                    "title": f"power, W{mark}",
                    "axis": {"format": NUMBER, "tickCount": 4, "grid": True},
                },
            },
        },
    ]
    if any(row["temperature"] is not None for row in rows):
        layer.append(
            {
                "data": {"values": rows},
                "mark": {"type": "line", "color": SERIES[1], "strokeWidth": 1.4, "strokeDash": [5, 3]},
                "encoding": {
                    "x": x,
                    "y": {
                        "field": "temperature",
                        "type": "quantitative",
                        "scale": {"zero": False},
                        "title": "temperature, °C (dashed)",
                        "axis": {"tickCount": 4, "grid": False, "titleColor": SERIES[1], "labelColor": SERIES[1]},
                    },
                },
            }
        )
    title = shortened(short_label(one.settings, one.label), 96 if width > 400 else 46)
    view: dict[str, Any] = {"title": {"text": title}, "width": width, "height": _HEIGHT_PX}
    if len(layer) == 3:
        return {**view, "layer": layer}
    # Power and what stands behind it share an axis; only temperature has one of its own.
    return {**view, "layer": [{"layer": layer[:3]}, layer[3]], "resolve": {"scale": {"y": "independent"}}}


def _caption(panels: Sequence[tuple[ReportConfiguration, Recording]], by: str | None, of: int, hot: bool) -> str:
    devices = list(dict.fromkeys(device for _, found in panels for device in found.devices))
    listed = ", ".join(devices[:4]) + (f" and {len(devices) - 4} more" if len(devices) > 4 else "")
    together = " together" if max(len(found.devices) for _, found in panels) > 1 else ""
    text = f"Mean power of {listed}{together} in short intervals; shades are the phases, by the first letter of their name."
    if of > 1:
        which = ("best", "middle and worst") if len(panels) == 3 else ("best", "worst")
        ranked = f" by {METRIC_SPECS[by].label}" if by else ""
        text += f" Of {of:,} configurations the {' and '.join(which) if len(panels) == 2 else ', '.join(which)}{ranked} with readings, a run each."
    if hot:
        text += " Dashed: temperature of the hottest device."
    if any(one.estimated for one, _ in panels):
        text += " Power is an estimate (CPU utilisation times rated power), not a measurement."
    return text


def _description(panels: Sequence[tuple[ReportConfiguration, Recording]]) -> str:
    parts = []
    for one, found in panels:
        powers = [reading.power_w for reading in found.readings if reading.power_w is not None]
        parts.append(f"{one.label}: up to {max(powers):.3g} W over {found.phases[-1][2] - found.phases[0][1]:.0f} s")
    return f"Power over time by phase. {'; '.join(parts)}."


CHART = Chart("power", TITLE, draw)
