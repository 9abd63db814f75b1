"""The figures of a report, one module each: from gathered data to a Vega-Lite document with its caption.

Documents hold their data, aggregated so that they stay small, and name colours as the page's style sheet does (`var(--c1)`);
`llem_report.export` puts a theme's own in their place.
"""

from __future__ import annotations

from collections.abc import Mapping

from llem_report.figures import effects, latency, pareto, phases, power
from llem_report.figures.drawn import Drawn, Figure

__all__ = ["FIGURES", "Drawn", "Figure"]

FIGURES: Mapping[str, Figure] = {
    figure.name: figure for figure in (effects.FIGURE, pareto.FIGURE, phases.FIGURE, power.FIGURE, latency.FIGURE)
}
"""Every figure by name, in the report's order."""
