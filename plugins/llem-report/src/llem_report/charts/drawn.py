"""A chart, and the outcome of drawing it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from llem_report.charts.style import Width
from llem_report.models import ReportStudy


@dataclass(frozen=True)
class Drawn:
    """A chart of one study.

    Attributes:
        spec: Vega-Lite with its data in it, colours as `var(--NAME)`; None where there is nothing to draw.
        title: heading; caption: what it shows, how to read it, what is left out.
        description: for who does not see it.
        why_not: why `spec` is None, a sentence; else None.
        width: of a page in print that it was drawn for, one column or two.
    """

    name: str
    title: str
    spec: dict[str, Any] | None
    caption: str = ""
    description: str = ""
    why_not: str | None = None
    width: Width = "double"


class Draw(Protocol):
    """Draws a chart of a study, for one column of a page or for two."""

    def __call__(self, study: ReportStudy, width: Width = "double") -> Drawn: ...


@dataclass(frozen=True)
class Chart:
    """A kind of chart.

    Attributes:
        draw: raises nothing over what a study lacks: it says so in `why_not`.
        scenario: the one that it is about; None where it is of any study.
    """

    name: str
    title: str
    draw: Draw
    scenario: str | None = None

    def is_of(self, study: ReportStudy) -> bool:
        """True where the study has runs that it is about."""
        return self.scenario is None or self.scenario in study.scenarios

    def absent(self, why: str) -> Drawn:
        """There is nothing to draw; `why` is a sentence."""
        return Drawn(self.name, self.title, None, why_not=why)
