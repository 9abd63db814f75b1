"""Registrations of llem-plugin-kit. Importing this imports neither click nor pytest."""

from __future__ import annotations

from collections.abc import Sequence

from llem.plugin_api import API_VERSION, CommandSpec, hookimpl


@hookimpl
def llem_commands() -> Sequence[CommandSpec]:
    """The command `plugin`."""
    return [
        CommandSpec(
            name="plugin",
            api_version=API_VERSION,
            summary="begin a plugin of your own",
            command="llem_plugin_kit.commands:plugin",
        )
    ]
