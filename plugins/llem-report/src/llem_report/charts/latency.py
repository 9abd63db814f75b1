"""Latency distributions: time to first token, gaps between tokens and whole requests, by configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llem.plugin_api import REQUESTS, inside, stands
from llem_analysis.run_file import table_of
from llem_analysis.wording import amount, counted
from llem_report.charts.choosing import extremes
from llem_report.charts.drawn import Chart, Drawn
from llem_report.charts.style import (
    ABOVE_PX,
    BELOW_PX,
    BG,
    FG,
    MUTED,
    NUMBER,
    SERIES,
    TOTAL,
    Width,
    distinct_labels,
    document,
    label_width,
    labels_above,
    short_label,
)
from llem_report.models import ReportConfiguration, ReportStudy

TITLE = "Latency distributions"
MOST = 20
MOST_RUNS = 5
"""Number of cycles of a configuration that are brought together."""

MEASURES = (
    ("ttft_s", "time to first token, ms"),
    ("itl_s", "inter-token latency, ms"),
    ("tpot_s", "time per output token, ms"),
    ("e2e_s", "whole request, ms"),
)
"""Column to its axis. Time per output token stands in where no single gaps are there."""

_INSIDE = "inside"
_ROW_PX = 20
_PERCENTILES = {"p5": 5, "p25": 25, "p50": 50, "p75": 75, "p95": 95, "p99": 99}


@dataclass(frozen=True)
class Spread:
    """Quantiles of one latency of one configuration, in seconds; None where too few requests lie beyond one of the tails."""

    n: int
    p5: float | None
    p25: float
    p50: float
    p75: float
    p95: float | None
    p99: float | None


def draw(study: ReportStudy, width: Width = "double") -> Drawn:
    """A box for each configuration and latency, over its requests."""
    timed = [
        c for c in study.configurations if any(key.startswith(("ttft", "itl", "tpot", "e2e")) for key in c.figures)
    ]
    if not timed:
        return CHART.absent("No run that is done has latencies: the engines told no times of tokens or requests.")
    shown, chosen = extremes(timed, MOST if width == "double" else MOST // 2)
    spreads = [_spreads(study.directory, one) for one in shown]
    found = [name for name, _ in MEASURES if any(name in one for one in spreads)]
    if "itl_s" in found and "tpot_s" in found:
        found.remove("tpot_s")
    if not found:
        return CHART.absent("The tables of requests (requests.parquet) of the runs are missing or damaged.")
    labels = distinct_labels([short_label(c.settings, c.label) for c in shown], 46 if width == "double" else 52)
    beside = width == "double"
    left = label_width(labels) if beside else 4
    rows = list(_rows(shown, labels, spreads, found))
    titles = dict(MEASURES)
    gap = 18
    columns = len(found) if beside else 1
    each = max(100, (TOTAL[width] - left - gap * columns) // columns)
    views = [
        _panel(rows, name, titles[name], labels, each, left if beside and name == found[0] else None, above=not beside)
        for name in found
    ]
    concat = {"hconcat": views} if beside else {"vconcat": views}
    return Drawn(
        CHART.name,
        TITLE,
        document({**concat, "data": {"values": rows}, "spacing": gap}),
        _caption(chosen, shown, found),
        _description(shown, spreads, found),
        width=width,
    )


def _panel(
    rows: Sequence[Mapping[str, Any]],
    name: str,
    title: str,
    labels: Sequence[str],
    width: int,
    left: int | None,
    *,
    above: bool,
) -> dict[str, Any]:
    own = [row for row in rows if row["measure"] == name]
    drawn = [row[p] for row in own for p in _PERCENTILES if row[p] is not None]
    low, high = min(drawn), max(drawn)
    logarithmic = low > 0 and high / low >= 12
    scale: dict[str, Any] = (
        {"type": "log", "domain": [low * 0.9, high * 1.1], "nice": False}
        if logarithmic
        else {"domain": [0, high * 1.05], "nice": False}
    )
    axis: dict[str, Any] = {"grid": True, "format": NUMBER, "labelOverlap": True, "tickCount": 4}
    if logarithmic:
        axis["values"] = [
            v for v in (d * 10.0**e for e in range(-4, 8) for d in (1, 2, 5)) if low * 0.9 <= v <= high * 1.1
        ]
    lower = BELOW_PX if above else 0
    x = {"type": "quantitative", "scale": scale, "axis": axis, "title": title}
    y = {
        "field": "label",
        "type": "nominal",
        "title": None,
        "scale": {"domain": list(labels)},
        "axis": None if left is None else {"labelLimit": left, "ticks": False, "domain": False},
    }
    tooltip = [
        {"field": "configuration"},
        *({"field": p, "title": f"{p.removeprefix('p')}th percentile, ms", "format": NUMBER} for p in _PERCENTILES),
        {"field": "n", "title": "values", "format": ","},
    ]
    return {
        "width": width,
        "height": {"step": ABOVE_PX if above else _ROW_PX},
        "transform": [{"filter": f"datum.measure == '{name}'"}],
        "layer": [
            *([labels_above(y, labels)] if above else []),
            {
                "transform": [{"filter": "isValid(datum.p95)"}],
                "mark": {"type": "rule", "color": MUTED, "strokeWidth": 1.2, "yOffset": lower},
                "encoding": {"y": y, "x": {**x, "field": "p5"}, "x2": {"field": "p95"}},
            },
            {
                "mark": {"type": "bar", "height": 10, "fill": SERIES[0], "minBandSize": 2, "yOffset": lower},
                "encoding": {"y": y, "x": {**x, "field": "p25"}, "x2": {"field": "p75"}, "tooltip": tooltip},
            },
            {
                "mark": {"type": "tick", "color": FG, "thickness": 2.5, "size": 14, "yOffset": lower},
                "encoding": {"y": y, "x": {**x, "field": "p50"}, "tooltip": tooltip},
            },
            {
                "transform": [{"filter": "isValid(datum.p99)"}],
                "mark": {
                    "type": "point",
                    "size": 22,
                    "filled": True,
                    "fill": BG,
                    "stroke": FG,
                    "strokeWidth": 1,
                    "opacity": 1,
                    "yOffset": lower,
                },
                "encoding": {"y": y, "x": {**x, "field": "p99"}, "tooltip": tooltip},
            },
        ],
    }


def _spreads(folder: Path, one: ReportConfiguration) -> dict[str, Spread]:
    import numpy as np

    values: dict[str, list[Any]] = {}
    for directory in one.directories[:MOST_RUNS]:
        table = table_of(inside(folder, directory) / REQUESTS, [*(name for name, _ in MEASURES), _INSIDE])
        if table is None:
            continue
        if _INSIDE in table.column_names:  # a load's table has requests from around the window too
            table = table.filter(table.column(_INSIDE)).drop_columns([_INSIDE])
        for name in table.column_names:
            column: Any = table.column(name).combine_chunks()
            flat = column.flatten() if name == "itl_s" else column
            values.setdefault(name, []).append(flat.drop_null().to_numpy(zero_copy_only=False))
    found = {}
    for name, parts in values.items():
        together = np.concatenate(parts)
        if together.size:
            n = int(together.size)
            p5, p25, p50, p75, p95, p99 = (float(np.quantile(together, p / 100)) for p in _PERCENTILES.values())
            found[name] = Spread(
                n,
                p5 if stands(n, 5) else None,
                p25,
                p50,
                p75,
                p95 if stands(n, 95) else None,
                p99 if stands(n, 99) else None,
            )
    return found


def _rows(
    shown: Sequence[ReportConfiguration],
    labels: Sequence[str],
    spreads: Sequence[Mapping[str, Spread]],
    found: Sequence[str],
) -> Iterator[dict[str, Any]]:
    for one, label, of in zip(shown, labels, spreads, strict=True):
        for name in found:
            if name in of:
                spread = of[name]
                quantiles = {p: _in_ms(getattr(spread, p)) for p in _PERCENTILES}
                yield {"label": label, "configuration": one.label, "measure": name, "n": spread.n, **quantiles}


def _in_ms(seconds: float | None) -> float | None:
    return None if seconds is None else float(f"{seconds * 1000:.4g}")


def _caption(chosen: str, shown: Sequence[ReportConfiguration], found: Sequence[str]) -> str:
    text = (
        "Over the requests of the measured window: bars from the 25th to the 75th percentile, thick lines the median, thin ones from "
        "the 5th to the 95th percentile, circles the 99th, each where ten requests lie beyond it. Latencies count from a request's release; offline a batch is released at once, under load a request is as it arrives."
    )
    if "itl_s" in found:
        text += " Inter-token latency is each gap between two tokens."
    most = max(len(one.directories) for one in shown)
    if most > 1:
        runs = f"the first {MOST_RUNS} runs" if most > MOST_RUNS else "all runs"
        text += f" Requests of {runs} of a configuration are taken together."
    return f"{text} {chosen}".rstrip()


def _description(
    shown: Sequence[ReportConfiguration], spreads: Sequence[Mapping[str, Spread]], found: Sequence[str]
) -> str:
    parts = []
    for name in found:
        medians = [of[name].p50 * 1000 for of in spreads if name in of]
        parts.append(
            f"{dict(MEASURES)[name].removesuffix(', ms')}: medians from {amount(min(medians))} to {amount(max(medians))} ms"
        )
    return f"Distributions of latency of {counted(len(shown), 'configuration')}. {'; '.join(parts)}."


CHART = Chart("latency", TITLE, draw)
