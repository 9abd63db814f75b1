"""The group of all commands: each is registered by the hook `llem_commands`, and imported when it is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from llem.cli.registered import offered, registry_of
from llem.errors import PluginError
from llem.plugins import OWN, Registry, load_object
from llem.specs.kinds import COMMANDS
from llem.spelling import closest

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

MEANT = {
    "continue": "llem resume",
    "restart": "llem resume",
    "help": "llem --help",
    "version": "llem --version",
    "new": "llem init",
    "schema": "llem config schema",
}
"""Words by which other tools call a command, each with ours."""


class LazyGroup(click.Group):
    """Looks commands up in the registry that the context carries, and imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(registry_of(ctx)[COMMANDS])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        spec = registry_of(ctx)[COMMANDS].get(cmd_name)
        return _checked(load_object(spec.command), cmd_name) if spec is not None else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        command = self.get_command(ctx, name)
        if command is not None or ctx.resilient_parsing:
            return name if command else None, command, args[1:]
        from llem.distributions import commands_elsewhere, missing_command

        if (missing := missing_command(name, registry_of(ctx))) is not None:
            raise missing
        if name in MEANT:
            hint = f" Did you mean `{MEANT[name]}`?"
        elif near := closest(name, [*self.list_commands(ctx), *commands_elsewhere()]):
            hint = f" Did you mean `{near}`?"
        elif name.endswith((".yaml", ".yml")):
            hint = f" To run a study: llem run {name}."
        else:
            hint = ""
        raise click.UsageError(f"there is no command `{name}`.{hint}", ctx)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        words = offered(registry_of(ctx)[COMMANDS].values(), incomplete)
        # Click's own would import every command for its help; of options it knows what there is.
        return [*words, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        registry = registry_of(ctx)
        own: list[tuple[str, str]] = []
        added: list[tuple[str, str]] = []
        for name, spec in registry[COMMANDS].items():
            is_own = registry.provider(COMMANDS, name).distribution == OWN
            (own if is_own else added).append((name, spec.summary))
        for title, rows in (
            ("Commands", own),
            ("Commands of plugins", sorted(added)),
            ("Commands to install", _missing_commands(registry)),
        ):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def _missing_commands(registry: Registry) -> list[tuple[str, str]]:
    """Each of llem's distributions whose commands are not here: the commands, and what installs them."""
    from llem.distributions import DISTRIBUTIONS

    missing = [(one, [name for name in one.commands if name not in registry[COMMANDS]]) for one in DISTRIBUTIONS]
    return [(", ".join(names), one.install) for one, names in missing if names]


def _checked(command: object, name: str) -> click.Command:
    if isinstance(command, click.Command):
        return command

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
    epilog="Exit codes: 0 done, 1 an experiment, a gate, an audit or a replication failed, 2 configuration or usage, 3 preflight, 4 plugin missing, 5 a gate or a replication cannot tell, 130 interrupted.",
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
