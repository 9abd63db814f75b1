"""The registration of llem-exporters. Importing this imports neither click nor pyarrow."""

from __future__ import annotations

from collections.abc import Sequence

from llem.plugin_api import API_VERSION, CommandSpec, hookimpl


@hookimpl
def llem_commands() -> Sequence[CommandSpec]:
    """The command `export`."""
    return [
        CommandSpec(
            name="export",
            api_version=API_VERSION,
            summary="results as CSV, Parquet, LaTeX, or for other tools",
            command="llem_exporters.command:export",
        ),
    ]
