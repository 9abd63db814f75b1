"""The charts of a report, one module each: from gathered data to a Vega-Lite document with its caption.

Documents hold their data, aggregated so that they stay small, and name colours as the page's style sheet does (`var(--c1)`);
`llem_report.export` puts a theme's own in their place.
"""

from __future__ import annotations

from collections.abc import Mapping

from llem_report.charts import effects, latency, pareto, phases, power
from llem_report.charts.drawn import Chart, Drawn

__all__ = ["CHARTS", "Chart", "Drawn"]

CHARTS: Mapping[str, Chart] = {
    chart.name: chart for chart in (effects.CHART, pareto.CHART, phases.CHART, power.CHART, latency.CHART)
}
"""Every chart by name, in the report's order."""
