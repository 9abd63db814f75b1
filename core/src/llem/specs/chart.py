"""A chart: a drawing of a study in its report."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ChartSpec:
    """Registration of a chart, by `llem_charts`.

    Attributes:
        name: the word in `llem report --figure`, and the name of its file.
        api_version: the `API_VERSION` that it was written for.
        summary: what it shows, one line.
        draw: `package.module:function`, imported when a report is made; takes a `llem_report.models.ReportStudy` and a
            `width` (`single` or `double`, of a column in print), returns a `llem_report.charts.Drawn`. It raises nothing
            over what a study lacks: it says so in `why_not`.
        scenario: the one that it is about; a report of a study without a run of it leaves it out. None: of any study.
    """

    name: str
    api_version: int
    summary: str
    draw: str
    scenario: str | None = None
