"""The registration of llem-start: its commands."""

from __future__ import annotations

from collections.abc import Sequence

from llem.plugin_api import API_VERSION, CommandSpec, hookimpl


@hookimpl
def llem_commands() -> Sequence[CommandSpec]:
    """The commands `doctor`, `init`, `config` and `completion`."""
    return [
        CommandSpec(
            name="doctor",
            api_version=API_VERSION,
            summary="check this machine and say what to do",
            command="llem_start.doctor:doctor",
        ),
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
        CommandSpec(
            name="completion",
            api_version=API_VERSION,
            summary="complete words in bash, zsh or fish",
            command="llem_start.completion:completion",
        ),
    ]
