"""The registration of llem-report. Importing this imports neither click nor vl-convert."""

from __future__ import annotations

from collections.abc import Sequence

from llem.plugin_api import API_VERSION, ChartSpec, CommandSpec, hookimpl


@hookimpl
def llem_commands() -> Sequence[CommandSpec]:
    """The command `report`."""
    return [
        CommandSpec(
            name="report",
            api_version=API_VERSION,
            summary="a study's report as one page, its figures as files",
            command="llem_report.command:report",
        ),
    ]


@hookimpl
def llem_charts() -> Sequence[ChartSpec]:
    """The charts of every report, in its order."""
    return [
        ChartSpec(name=name, api_version=API_VERSION, summary=summary, draw=f"llem_report.charts.{name}:draw")
        for name, summary in (
            ("effects", "which parameters matter, and how much"),
            ("pareto", "energy against speed"),
            ("phases", "energy by phase of a run"),
            ("power", "power and temperature over time"),
            ("latency", "distributions of latencies"),
        )
    ]
