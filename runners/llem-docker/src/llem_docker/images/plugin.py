"""Registrations of `llem images`. Importing this imports neither click nor docker."""

from __future__ import annotations

from collections.abc import Sequence

from llem.plugin_api import API_VERSION, CommandSpec, hookimpl


@hookimpl
def llem_commands() -> Sequence[CommandSpec]:
    """The command `images`."""
    return [
        CommandSpec(
            name="images",
            api_version=API_VERSION,
            summary="build, list and pull the images that containers start from",
            command="llem_docker.images.commands:images",
        )
    ]
