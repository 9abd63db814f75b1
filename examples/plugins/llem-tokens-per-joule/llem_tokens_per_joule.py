"""Output tokens per joule: a metric, a chart and an export, in one file.

llem reads this module in every command, so what needs other packages is imported where it runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any, Literal

from llem.plugin_api import (
    API_VERSION,
    ChartSpec,
    Exported,
    ExporterSpec,
    MetricSpec,
    StudySource,
    hookimpl,
)

if TYPE_CHECKING:
    from llem_report.charts import Drawn
    from llem_report.models import ReportStudy

METRIC, CHART, FORM = "tokens_per_joule", "tokens-per-joule", "markdown"
ENERGY = "energy.headline.j_per_output_token"


@hookimpl
def llem_metrics() -> Sequence[MetricSpec]:
    """A column `metric.tokens_per_joule`, in every study that has energy."""
    return [
        MetricSpec(
            name=METRIC,
            api_version=API_VERSION,
            summary="output tokens of the window over its energy",
            label="output tokens per joule",
            unit="tokens/J",
            better="higher",
            of=(ENERGY,),
            value=f"{__name__}:tokens_per_joule",
            energy=True,
        )
    ]


@hookimpl
def llem_charts() -> Sequence[ChartSpec]:
    """A bar for each configuration."""
    return [ChartSpec(name=CHART, api_version=API_VERSION, summary="output tokens per joule", draw=f"{__name__}:draw")]


@hookimpl
def llem_exporters() -> Sequence[ExporterSpec]:
    """A table for a README or an issue."""
    return [
        ExporterSpec(
            name=FORM,
            api_version=API_VERSION,
            summary="every run as a table in Markdown, with output tokens per joule",
            write=f"{__name__}:write",
            output="text",
        )
    ]


def tokens_per_joule(row: Mapping[str, Any]) -> float | None:
    """The metric. What was not measured, or is voided by a warning, is None here, and stays None."""
    joules = row[ENERGY]
    return None if joules is None else 1 / joules


def draw(study: ReportStudy, width: Literal["single", "double"] = "double") -> Drawn:
    """The chart: a Vega-Lite document with its data in it."""
    from llem_report.charts import Drawn
    from llem_report.charts.style import SERIES, TOTAL, document, quantity

    title = "Output tokens per joule"
    having = [one for one in study.configurations if METRIC in one.figures]
    if not having:
        return Drawn(CHART, title, None, why_not="No run has measured or estimated energy.")
    estimated = any(one.estimated for one in having)
    rows = [{"configuration": one.label, "value": one.figures[METRIC].mean} for one in having]
    spec = document(
        {
            "data": {"values": rows},
            "width": TOTAL[width] // 2,
            "mark": {"type": "bar", "color": SERIES[0]},
            "encoding": {
                "y": {"field": "configuration", "type": "nominal", "sort": None, "title": None},
                "x": {
                    "field": "value",
                    "type": "quantitative",
                    "title": quantity(title, "tokens/J", estimated=estimated),
                },
            },
        }
    )
    caption = "Means over cycles; more is better." + (" All energy is an estimate." if estimated else "")
    return Drawn(CHART, title, spec, caption=caption, description=f"{len(rows)} bars", width=width)


def write(source: StudySource, stream: IO[str]) -> Exported:
    """The export. A figure that is None is a dash, never 0."""
    stream.write("| experiment | cycle | tokens/J | how |\n| --- | --: | --: | --- |\n")
    for row in source.rows:
        value = row[f"metric.{METRIC}"]
        cells = [
            row["directory"],
            row["cycle"],
            None if value is None else f"{value:.4g}",
            row["energy.headline.method"],
        ]
        stream.write("| " + " | ".join("–" if cell is None else str(cell) for cell in cells) + " |\n")
    return Exported(count=len(source.rows))
