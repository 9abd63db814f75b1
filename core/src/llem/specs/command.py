"""A command that a plugin adds to the command line."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class CommandSpec:
    """Registration of a command, by `llem_commands`.

    Attributes:
        name: the word after `llem`.
        api_version: the `API_VERSION` that it was written for.
        summary: one line for `llem --help`.
        command: `package.module:command`, a `click.Command`, imported when it is called. `@click.pass_obj` hands it the registry.
    """

    name: str
    api_version: int
    summary: str
    command: str
