"""docs/reference/cli.md: every command of this repository with its arguments and options, from click's own account of them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click

from docs.reference_pages.markdown import code, document, table
from llem import errors
from llem.cli.group import command_line
from llem.distributions import commands_elsewhere
from llem.plugins import OWN, default_registry, load_object
from llem.specs.kinds import COMMANDS
from llem_analysis.gating import EXIT

METAVARS = {"INTEGER RANGE": "N"}

INTRODUCTION = """`llem COMMAND --help` prints the same. Results go to standard output, progress and errors to standard error.
Plugins can add commands; `llem --help` lists them."""

EXIT_CODES = {
    errors.EXIT_DONE: "done",
    errors.EXIT_EXPERIMENT_FAILED: "an experiment failed, or was not run; results are kept. A gate or an audit did not pass; a replication differs",
    errors.EXIT_CONFIG: "bad configuration or usage; nothing has run",
    errors.EXIT_PREFLIGHT: "a preflight check failed; nothing has run",
    errors.EXIT_PLUGIN: "a backend or another plugin is missing or broken; nothing has run",
    EXIT["undecided"]: "a gate or a replication cannot tell",
    errors.EXIT_INTERRUPTED: "interrupted; what is done is kept",
}


def page() -> str:
    """The whole page."""
    return document("Command line", INTRODUCTION, _parts())


def _parts() -> Iterator[str]:
    yield "## Exit codes"
    yield table(["code", "meaning"], ([str(number), meaning] for number, meaning in EXIT_CODES.items()))
    registry = default_registry()
    root = click.Context(command_line, info_name="llem", obj=registry)
    elsewhere = commands_elsewhere()
    own = [name for name in registry[COMMANDS] if registry.provider(COMMANDS, name).distribution == OWN]
    for name in (*own, *elsewhere):
        spec = registry[COMMANDS][name]
        command = load_object(spec.command)
        first, *rest = _command(command, click.Context(command, parent=root, info_name=name), spec.summary)
        yield first
        if name in elsewhere:
            yield f"Of the distribution {code(elsewhere[name].name)}: `{elsewhere[name].install}`."
        yield from rest


def _command(command: click.Command, context: click.Context, summary: str = "") -> Iterator[str]:
    level = "##" if context.parent and context.parent.parent is None else "###"
    yield f"{level} {context.command_path}"
    yield f"```\n{command.get_usage(context).removeprefix('Usage: ')}\n```"
    yield from _prose(command.help or summary)
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    if options:
        yield table(["option", "meaning"], (_option(option, context) for option in options))
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None:
                yield from _command(inner, click.Context(inner, parent=context, info_name=name))


def _prose(text: str) -> Iterator[str]:
    r"""Paragraphs as they are; a block that click keeps as it is (`\b`) as code under its heading."""
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if paragraph.startswith("\b"):
            head, *lines = paragraph.strip("\b\n").split("\n")
            if head.startswith("Exit codes"):
                continue
            yield f"{head}\n\n```bash\n" + "\n".join(_commented(line.strip()) for line in lines) + "\n```"
        else:
            yield " ".join(paragraph.split())


def _commented(line: str) -> str:
    """A command with what help says beside it as a comment."""
    return re.sub(r" {2,}(?=\S)", "  # ", line, count=1)


def _option(option: click.Option, context: click.Context) -> list[str]:
    names = ", ".join(code(name) for name in sorted(option.opts, key=len))
    if not option.is_flag:
        metavar = option.make_metavar(context)
        names += f" {code(METAVARS.get(metavar, metavar))}"
    given = option.show_default if isinstance(option.show_default, str) else option.to_info_dict()["default"]
    default = f" Default: {code(str(given))}." if option.show_default and given is not None else ""
    return [names, f"{option.help or ''}{default}"]
