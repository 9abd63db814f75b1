"""Energy by phase: what a whole run took, from the idle baseline to the measured window."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llem_analysis.wording import amount
from llem_report.charts.choosing import extremes
from llem_report.charts.drawn import Chart, Drawn
from llem_report.charts.style import (
    ABOVE_PX,
    BELOW_PX,
    BG,
    FG,
    NUMBER,
    PHASE_COLOURS,
    PHASE_NAMES,
    TOTAL,
    Width,
    distinct_labels,
    document,
    label_width,
    labels_above,
    quantity,
    short_label,
)
from llem_report.models import ReportStudy

MOST = 24
TITLE = "Energy by phase"
_ROW_PX = 20


def draw(study: ReportStudy, width: Width = "double") -> Drawn:
    """A bar for each configuration, its phases in their order from left to right."""
    having = [c for c in study.configurations if sum(c.phases_j.values()) > 0]
    if not having:
        return CHART.absent("No run has energy by phase: nothing was measured or estimated.")
    if len({(c.scope, c.method) for c in having}) > 1:
        return CHART.absent(
            "Energy was found by different methods or of different devices, and cannot stand side by side."
        )
    shown, chosen = extremes(having, MOST if width == "double" else MOST // 2)
    labels = distinct_labels([short_label(c.settings, c.label) for c in shown], 52)
    beside = width == "double"
    left = label_width(labels) if beside else 4
    plot = TOTAL[width] - left - 62
    present = [phase for phase in PHASE_COLOURS if any(c.phases_j.get(phase) for c in shown)]
    rows = [
        {
            "label": label,
            "configuration": one.label,
            "phase": PHASE_NAMES[phase],
            "order": number,
            "joules": float(f"{joules:.5g}"),
        }
        for label, one in zip(labels, shown, strict=True)
        for number, phase in enumerate(present)
        if (joules := one.phases_j.get(phase))
    ]
    widest = max(sum(one.phases_j.values()) for one in shown)
    letters = [
        {"label": label, "middle": end - joules / 2, "letter": PHASE_NAMES[phase][0].upper()}
        for label, one in zip(labels, shown, strict=True)
        for phase, joules, end in _stacked(one.phases_j, present)
        if joules * plot / widest > 14
    ]
    estimated = shown[0].estimated
    mark = "~" if estimated else ""
    totals = [
        {"label": label, "total": (total := sum(one.phases_j.values())), "text": f"{mark}{amount(total)}"}
        for label, one in zip(labels, shown, strict=True)
    ]
    y = {
        "field": "label",
        "type": "nominal",
        "sort": labels,
        "title": None,
        "axis": {"labelLimit": left, "ticks": False} if beside else None,
    }
    title = quantity("energy of a run", "J", estimated=estimated)
    x = {
        "field": "joules",
        "type": "quantitative",
        "stack": "zero",
        "title": title,
        "axis": {"format": NUMBER, "grid": True},
    }
    names = [PHASE_NAMES[phase] for phase in present]
    colour = {
        "field": "phase",
        "type": "nominal",
        "scale": {"domain": names, "range": [PHASE_COLOURS[phase] for phase in present]},
        "legend": {"title": None, "orient": "top", "columns": 3 if width == "single" else 0, "values": names},
    }
    tooltip = [
        {"field": "configuration"},
        {"field": "phase"},
        {"field": "joules", "title": title, "format": NUMBER},
    ]
    lower = 0 if beside else BELOW_PX
    layer: list[dict[str, Any]] = [
        *([] if beside else [labels_above(y, labels)]),
        {
            "data": {"values": rows},
            "mark": {"type": "bar", "height": 15, "yOffset": lower, "stroke": BG, "strokeWidth": 1},
            "encoding": {"y": y, "x": x, "color": colour, "order": {"field": "order"}, "tooltip": tooltip},
        },
        {
            "data": {"values": letters},
            "mark": {"type": "text", "fontSize": 10, "fontWeight": "bold", "color": BG, "yOffset": lower},
            "encoding": {"y": y, "x": {"field": "middle", "type": "quantitative"}, "text": {"field": "letter"}},
        },
        {
            "data": {"values": totals},
            "mark": {"type": "text", "align": "left", "dx": 4, "fontSize": 10, "color": FG, "yOffset": lower},
            "encoding": {"y": y, "x": {"field": "total", "type": "quantitative"}, "text": {"field": "text"}},
        },
    ]
    view = {"width": plot, "height": {"step": _ROW_PX if beside else ABOVE_PX}, "layer": layer}
    caption = (
        "Energy of one run by phase, left to right in the order in which phases run, mean over cycles; letters are the first of a phase's name, the number is the sum. "
        f"Only the measured window counts in the study's figures. {chosen}"
    ).rstrip()
    if estimated:
        caption += " Energy is an estimate (CPU utilisation times rated power), not a measurement."
    return Drawn(CHART.name, TITLE, document(view), caption, _description(rows, names, len(shown)), width=width)


def _stacked(phases_j: Mapping[str, float], present: Sequence[str]) -> Iterator[tuple[str, float, float]]:
    """Each phase with its joules and where its part of the bar ends."""
    end = 0.0
    for phase in present:
        joules = phases_j.get(phase) or 0.0
        end += joules
        yield phase, joules, end


def _description(rows: list[dict[str, Any]], names: list[str], shown: int) -> str:
    means = [(sum(row["joules"] for row in rows if row["phase"] == name) / shown, name) for name in names]
    listed = ", ".join(f"{name} {amount(mean)} J" for mean, name in means)
    return f"Stacked bars of the energy of a run. Mean over the {shown} configurations shown: {listed}."


CHART = Chart("phases", TITLE, draw)
