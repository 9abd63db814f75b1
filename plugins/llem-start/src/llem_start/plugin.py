"""The registration of llem-start: its commands."""

from __future__ import annotations

from collections.abc import Sequence

from llem.plugin_api import API_VERSION, CommandSpec, hookimpl


@hookimpl
def llem_commands() -> Sequence[CommandSpec]:
    """The commands `init` and `config`."""
    return [
        CommandSpec(
            name="init",
            api_version=API_VERSION,
            summary="write a first study, from a few questions or from flags",
            command="llem_start.command:init",
        ),
        CommandSpec(
            name="config",
            api_version=API_VERSION,
            summary="show, describe or begin a configuration",
            command="llem_start.config_command:config",
        ),
    ]
