"""The group of all commands: built-in ones by import path, the others from plugins, each imported when it is called."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

BUILT_IN: dict[str, tuple[str, str]] = {
    "init": ("llem.cli.init:init", "write a first study, from a few questions or from flags"),
    "run": ("llem.cli.run:run", "run a study, or one experiment from options"),
    "resume": ("llem.cli.resume:resume", "go on with a study that was started before"),
    "show": ("llem.cli.show:show", "show a study or a result as a table"),
    "config": ("llem.cli.config:config", "show, describe or begin a configuration"),
    "plugins": ("llem.cli.plugins:plugins", "list what is installed, and what was set aside"),
    "completion": ("llem.cli.completion:completion", "complete words in bash, zsh or fish"),
    "doctor": ("llem.cli.doctor:doctor", "check this machine and say what to do"),
}
"""Command to its import path and its line in `llem --help`."""


MEANT = {
    "continue": "llem resume",
    "restart": "llem resume",
    "help": "llem --help",
    "version": "llem --version",
    "new": "llem init",
    "schema": "llem config schema",
}
"""What other tools call it."""


class LazyGroup(click.Group):
    """Imports a command when it is called. A word that is no built-in command is looked up among plugins' commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*BUILT_IN, *sorted(_plugin_commands())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        from llem.plugins import load_object

        if cmd_name in BUILT_IN:
            return _checked(load_object(BUILT_IN[cmd_name][0]), cmd_name)
        spec = _plugin_commands().get(cmd_name)
        return _checked(load_object(spec.command), cmd_name) if spec is not None else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        command = self.get_command(ctx, name)
        if command is not None or ctx.resilient_parsing:
            return name if command else None, command, args[1:]
        from llem.distributions import commands_elsewhere, missing_command
        from llem.plugins import default_registry

        if (missing := missing_command(name, default_registry())) is not None:
            raise missing
        if name in MEANT:
            hint = f" Did you mean `{MEANT[name]}`?"
        elif near := difflib.get_close_matches(name, [*self.list_commands(ctx), *commands_elsewhere()], n=1):
            hint = f" Did you mean `{near[0]}`?"
        elif name.endswith((".yaml", ".yml")):
            hint = f" To run a study: llem run {name}."
        else:
            hint = ""
        raise click.UsageError(f"there is no command `{name}`.{hint}", ctx)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        from click.shell_completion import CompletionItem

        lines = {name: summary for name, (_, summary) in BUILT_IN.items()}
        lines |= {name: spec.summary for name, spec in sorted(_plugin_commands().items())}
        words = [CompletionItem(name, help=line) for name, line in lines.items() if name.startswith(incomplete)]
        # Click's own would import every command for its help; of options it knows what there is.
        return [*words, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in BUILT_IN.items()])
        if added := _plugin_commands():
            with formatter.section("Commands of plugins"):
                formatter.write_dl([(name, spec.summary) for name, spec in sorted(added.items())])
        if missing := _missing_commands(added):
            with formatter.section("Commands to install"):
                formatter.write_dl(missing)


def _plugin_commands() -> dict[str, Any]:
    from llem.plugins import default_registry

    return {name: spec for name, spec in default_registry().commands.items() if name not in BUILT_IN}


def _missing_commands(added: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Each of llem's distributions whose commands are not here: the commands, and what installs them."""
    from llem.distributions import DISTRIBUTIONS

    missing = [(one, [name for name in one.commands if name not in added]) for one in DISTRIBUTIONS]
    return [(", ".join(names), one.install) for one, names in missing if names]


def _checked(command: object, name: str) -> click.Command:
    if isinstance(command, click.Command):
        return command
    from llem.errors import PluginError

    raise PluginError(
        f"the command `{name}` is a {type(command).__name__}, not a click command.",
        remedy="Tell whoever wrote the plugin; `llem plugins` names it.",
    )


def _print_version(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        import llem

        click.echo(f"llem {llem.__version__}")
        context.exit()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit codes: 0 done, 1 an experiment failed, 2 configuration or usage, 3 preflight, 4 plugin missing, 130 interrupted.",
)
@click.option(
    "--version",
    "-V",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version.",
)
def command_line() -> None:
    """Measure energy, speed and latency of LLM inference.

    \b
    Examples:
      llem doctor                          is this machine ready?
      llem init                            write a first study
      llem run study.yaml --dry-run        what would run, and for how long
      llem run study.yaml                  run it
      llem resume results/NAME-TIMESTAMP   go on with it
      llem show results/NAME-TIMESTAMP     read the figures again
      llem analyze results/NAME-TIMESTAMP  which parameters matter
    """
