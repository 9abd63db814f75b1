"""The registration of llem-start: one command."""

from __future__ import annotations

from collections.abc import Sequence

from llem.plugin_api import API_VERSION, CommandSpec, hookimpl


@hookimpl
def llem_commands() -> Sequence[CommandSpec]:
    """The command `init`."""
    return [
        CommandSpec(
            name="init",
            api_version=API_VERSION,
            summary="write a first study, from a few questions or from flags",
            command="llem_start.command:init",
        )
    ]
