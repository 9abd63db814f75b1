"""The registration of llem-warm: one starter."""

from __future__ import annotations

from collections.abc import Sequence

from llem.plugin_api import API_VERSION, StarterSpec, hookimpl


@hookimpl
def llem_starters() -> Sequence[StarterSpec]:
    """The starter `fork_server`."""
    return [
        StarterSpec(
            name="fork_server",
            api_version=API_VERSION,
            summary="forks workers from a process that has imported the engine's module",
            starter="llem_warm.fork_servers:ForkServers",
        )
    ]
