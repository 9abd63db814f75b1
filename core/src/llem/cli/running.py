"""Commands of plugins that run a study as `llem run` does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from llem.cli.registered import registry_of
from llem.plugins import load_object
from llem.specs.kinds import COMMANDS


class RunningCommand(click.Command):
    """A command that takes options of `llem run` besides its own, and shows them in its help.

    `@click.command(cls=RunningCommand, of_run=("settings", "quiet"))`; the function gets their values by these names, and gives
    them to `run_as_llem_run`.
    """

    def __init__(self, *args: Any, of_run: Sequence[str], **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._of_run = of_run

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Its own, those of `llem run`, and `--help`."""
        *own, help_option = super().get_params(ctx)
        return [*own, *(one for one in _run(ctx).params if one.name in self._of_run), help_option]


def run_as_llem_run(context: click.Context, **options: Any) -> int:
    """Run a study as `llem run` does with these options, others at their defaults; returns its exit code."""
    code: int = context.invoke(_run(context), **options)
    return code


def _run(context: click.Context) -> click.Command:
    command: click.Command = load_object(registry_of(context)[COMMANDS]["run"].command)
    return command
