"""What a figure is, and what drawing it gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llem.report.models import ReportStudy


@dataclass(frozen=True)
class Drawn:
    """A figure of one study.

    Attributes:
        spec: Vega-Lite with its data in it, colours as `var(--NAME)`; None where there is nothing to draw.
        title: heading; caption: what it shows, how to read it, what is left out.
        description: for who does not see it.
        why_not: why `spec` is None, a sentence; else None.
    """

    name: str
    title: str
    spec: dict[str, Any] | None
    caption: str = ""
    description: str = ""
    why_not: str | None = None


@dataclass(frozen=True)
class Figure:
    """A kind of figure. `draw` raises nothing over what a study lacks: it says so in `why_not`."""

    name: str
    title: str
    draw: Callable[[ReportStudy], Drawn]

    def absent(self, why: str) -> Drawn:
        """There is nothing to draw; `why` is a sentence."""
        return Drawn(self.name, self.title, None, why_not=why)
