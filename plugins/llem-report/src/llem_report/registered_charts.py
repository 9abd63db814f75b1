"""The charts of a report: those that are registered, loaded when one is made."""

from __future__ import annotations

from dataclasses import dataclass

from llem.plugin_api import CHARTS, ChartSpec, Registry, load_object
from llem_report.charts.drawn import Chart, Draw, Drawn
from llem_report.charts.style import Width
from llem_report.models import ReportStudy

OWN = "llem-report"


def charts(registry: Registry) -> dict[str, Chart]:
    """Every chart by name: the report's own first, in its order, then those of other distributions.

    Raises:
        PluginError: what a spec names is not there.
    """
    specs = registry[CHARTS]
    ordered = sorted(specs, key=lambda name: registry.provider(CHARTS, name).distribution != OWN)
    return {name: _loaded(specs[name], registry.provider(CHARTS, name).label) for name in ordered}


def _loaded(spec: ChartSpec, label: str) -> Chart:
    return Chart(spec.name, spec.summary, _Guarded(spec, label, load_object(spec.draw)), spec.scenario)


@dataclass(frozen=True)
class _Guarded:
    """Draws a chart; what that raises is the reason why there is none, and the others are drawn."""

    spec: ChartSpec
    label: str
    draw: Draw

    def __call__(self, study: ReportStudy, width: Width = "double") -> Drawn:
        try:
            drawn = self.draw(study, width)
            if not isinstance(drawn, Drawn) or drawn.name != self.spec.name:
                raise TypeError(f"it returns {type(drawn).__name__}, not a Drawn of this name")
        except Exception as error:  # noqa: BLE001 - whatever a third party does must not keep the report from being made
            why = f"It cannot be drawn: {self.label} fails ({type(error).__name__}: {error})."
            return Drawn(self.spec.name, self.spec.summary, None, why_not=why)
        return drawn
