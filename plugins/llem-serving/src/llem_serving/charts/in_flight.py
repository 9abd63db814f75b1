"""Requests in flight and power over time, of one experiment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llem.plugin_api import REQUESTS, ResultError, inside
from llem_analysis.run_file import table_of
from llem_analysis.wording import amount
from llem_report.charts import Drawn
from llem_report.charts.readings import Recording, recording
from llem_report.charts.style import FG, MUTED, NUMBER, SERIES, Width, document, quantity, shortened
from llem_report.models import ReportStudy
from llem_serving.charts import drawing
from llem_serving.charts.curves import ACHIEVED, ENERGY, Loads, Point, loads_of
from llem_serving.charts.steps import Bin, binned
from llem_serving.judging.columns import COLUMNS, TOKEN_TIMES, requests_of
from llem_serving.judging.in_flight import in_flight

NAME = "in-flight"
TITLE = "Requests in flight and power over time"
_HEIGHT_PX = 110
_MOST_BINS = 300
_TRIED = 12
"""Number of configurations that are looked at for one whose tables are there."""


def draw(study: ReportStudy, width: Width = "double") -> Drawn:
    """A panel of requests in flight over one of power, on one axis of time."""
    loads = loads_of(study.directory, [ENERGY])
    if not loads.curves:
        return _absent("No load has run: this chart is of the scenario server.")
    for point in _ranked(loads)[:_TRIED]:
        for directory in point.directories:
            job = inside(study.directory, directory)
            bins = _bins(job)
            if bins:
                return _drawn(loads, point, directory, bins, recording(job), width)
    return _absent("The tables of requests (requests.parquet) of the runs are missing or damaged.")


def _absent(why: str) -> Drawn:
    return Drawn(NAME, TITLE, None, why_not=why)


def _ranked(loads: Loads) -> list[Point]:
    """Every point, the one to show first: steady, within the objectives, of least energy per good token."""

    def rank(point: Point) -> tuple[bool, bool, bool, float]:
        energy, achieved = point.figures.get(ENERGY), point.figures.get(ACHIEVED)
        by = energy.mean if energy is not None else -achieved.mean if achieved is not None else 0.0
        return not point.is_sound, point.kept is False, energy is None, by

    return sorted((point for curve in loads.curves for point in curve.points), key=rank)


def _bins(job: Path) -> list[Bin]:
    table = table_of(job / REQUESTS, [name for name in COLUMNS if name not in TOKEN_TIMES])
    if table is None:
        return []
    try:
        requests = requests_of(table.to_pydict(), str(job / REQUESTS))
    except ResultError:
        return []
    return binned(in_flight(requests), _MOST_BINS)


def _drawn(
    loads: Loads, point: Point, directory: str, bins: Sequence[Bin], found: Recording | None, width: Width
) -> Drawn:
    window = next(((a, b) for name, a, b in found.phases if name == "window"), None) if found is not None else None
    start, end = bins[0].start_s, bins[-1].end_s
    if window is not None:
        start, end = min(start, window[0]), max(end, window[1])
    powers = [] if found is None else [r for r in found.readings if r.power_w is not None]
    powers = [r for r in powers if start <= (r.start_s + r.end_s) / 2 <= end]
    plot = drawing.plot_px(width)
    x = {
        "type": "quantitative",
        "scale": {"domain": [start, end], "nice": False},
        "axis": {"format": NUMBER, "grid": False, "tickCount": 8, "labelOverlap": True},
    }
    time = "time since the measured window opened, s"
    views = [_requests(bins, x, window, plot, None if powers else time)]
    if powers:
        rows = [{"t": round((r.start_s + r.end_s) / 2, 3), "power": r.power_w} for r in powers]
        title = quantity("power", "W", estimated=loads.estimated)
        views.append(_power(rows, x, window, plot, title, time))
    view = {"vconcat": views, "spacing": 12, "title": {"text": shortened(point.label, 96 if width == "double" else 46)}}
    return Drawn(
        NAME,
        TITLE,
        document(view),
        _caption(loads, point, directory, found if powers else None, is_shaded=window is not None),
        _description(bins, powers),
        width=width,
    )


def _band(x: dict[str, Any], window: tuple[float, float] | None, time: str | None) -> list[dict[str, Any]]:
    """The measured window, shaded."""
    if window is None:
        return []
    return [
        {
            "data": {"values": [{"from": window[0], "to": window[1]}]},
            "mark": {"type": "rect", "color": SERIES[0], "opacity": 0.12},
            "encoding": {"x": {**x, "field": "from", "title": time}, "x2": {"field": "to"}},
        }
    ]


def _requests(
    bins: Sequence[Bin], x: dict[str, Any], window: tuple[float, float] | None, width: int, time: str | None
) -> dict[str, Any]:
    rows = [
        {
            "t": round(one.start_s, 3),
            "to": round(one.end_s, 3),
            "mean": float(f"{one.mean:.4g}"),
            "least": one.least,
            "most": one.most,
        }
        for one in bins
    ]
    across = {**x, "field": "t", "title": time}
    y = {
        "type": "quantitative",
        "scale": {"domainMin": 0, "nice": True},
        "title": "requests in flight",
        "axis": {"format": NUMBER, "tickCount": 4, "grid": True},
    }
    return {
        "width": width,
        "height": _HEIGHT_PX,
        "layer": [
            *_band(x, window, time),
            {
                "data": {"values": rows},
                "mark": {"type": "rect", "color": MUTED, "opacity": 0.35},
                "encoding": {
                    "x": across,
                    "x2": {"field": "to"},
                    "y": {**y, "field": "least"},
                    "y2": {"field": "most"},
                },
            },
            {
                "data": {"values": rows},
                "mark": {"type": "line", "color": FG, "strokeWidth": 1.4, "interpolate": "step-after"},
                "encoding": {"x": across, "y": {**y, "field": "mean"}},
            },
        ],
    }


def _power(
    rows: Sequence[dict[str, Any]],
    x: dict[str, Any],
    window: tuple[float, float] | None,
    width: int,
    title: str,
    time: str,
) -> dict[str, Any]:
    y = {
        "field": "power",
        "type": "quantitative",
        "scale": {"domainMin": 0, "nice": True},
        "title": title,
        "axis": {"format": NUMBER, "tickCount": 4, "grid": True},
    }
    line = {"type": "line", "color": SERIES[1], "strokeWidth": 1.4, "interpolate": "step"}
    return {
        "width": width,
        "height": _HEIGHT_PX,
        "layer": [
            *_band(x, window, time),
            {
                "data": {"values": list(rows)},
                "mark": line,
                "encoding": {"x": {**x, "field": "t", "title": time}, "y": y},
            },
        ],
    }


def _caption(loads: Loads, point: Point, directory: str, found: Recording | None, *, is_shaded: bool) -> str:
    words = {
        "steady": "steady",
        "untested": "not tested for a steady state",
        "unsteady": "unsteady",
        "saturated": "saturated",
    }
    kept = "" if point.kept is None else ", its objectives kept" if point.kept else ", its objectives missed"
    several = sum(len(curve.points) for curve in loads.curves) > 1
    chosen = (
        " It is the one of least energy per good token among those that were steady and kept the objectives, where there are any."
        if several
        else ""
    )
    text = f"One run ({directory}; {words[point.state]}{kept}).{chosen} Requests in flight count from their scheduled arrival to their last token"
    text += ": the line is the mean over a short time, the grey band reaches from the least to the most."
    text += " Of requests that arrived outside of the window only those count that were answered."
    if is_shaded:
        text += " Shaded: the measured window."
    if found is None:
        return f"{text} The run has no readings of power."
    text += f" Power is that of {drawing.listed(list(found.devices))}."
    if loads.estimated:
        text += " Power is an estimate (CPU utilisation times rated power), not a measurement."
    return text


def _description(bins: Sequence[Bin], powers: Sequence[Any]) -> str:
    highest = "" if not powers else f"; power up to {amount(max(reading.power_w for reading in powers))} W"
    return f"Requests in flight of one run: at most {max(one.most for one in bins):,}{highest}."
