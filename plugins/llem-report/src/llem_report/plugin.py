"""The registration of llem-report. Importing this imports neither click nor vl-convert."""

from __future__ import annotations

from collections.abc import Sequence

from llem.plugin_api import API_VERSION, CommandSpec, hookimpl


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
