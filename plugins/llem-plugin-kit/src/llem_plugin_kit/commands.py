"""`llem plugin new`: a distribution for a plugin of one's own, which works at once."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from llem.plugin_api import Registry
    from llem_plugin_kit.scaffold.names import Kind


@click.group()
def plugin() -> None:
    """Begin a plugin of your own; `llem plugins` lists those that are installed.

    \b
    Examples:
      llem plugin new my-engine --kind backend
      llem plugin new wall-meter --kind sampler --directory ~/src
    """


@plugin.command()
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice(["backend", "runner", "sampler", "check"]),
    required=True,
    help="backend: runs the model. runner: runs experiments somewhere. sampler: reads energy. check: looks before a study starts.",
)
@click.option(
    "--directory",
    type=click.Path(path_type=Path),
    default=Path(),
    show_default="the current folder",
    help="The folder in which llem-NAME is made.",
)
@click.pass_obj
def new(registry: Registry, name: str, kind: Kind, directory: Path) -> None:
    """Write the distribution llem-NAME: a working plugin, its tests, a CI workflow, a README and a licence.

    NAME takes small letters, digits and hyphens. What is written works as it stands: install it, and its tests pass.
    Nothing that exists is overwritten.

    \b
    Examples:
      llem plugin new my-engine --kind backend
      cd llem-my-engine && pip install -e '.[test]' && pytest
    """
    from llem_plugin_kit.scaffold.distribution import IMPLEMENTATION, USAGE, write
    from llem_plugin_kit.scaffold.names import names_for

    names = names_for(name, kind, registry)
    folder, files = write(names, directory)
    click.echo(f"{folder}: {len(files)} files")
    for path in files:
        click.echo(f"  {path}")
    steps = [
        (f"cd {shlex.quote(str(folder))}", ""),
        ("pip install -e '.[test]'", ""),
        ("pytest", "the conformance tests, which pass as it stands"),
        ("llem plugins", f"lists {names.distribution}"),
        (USAGE[kind].format(word=names.word), "uses it"),
        *([(f"llem images build {names.word}", "its container image, with llem-docker")] if kind == "backend" else []),
    ]
    click.echo("\nNext:")
    for command, what in steps:
        click.echo(f"  {command}" if not what else f"  {command}  # {what}")
    click.echo(
        f"\nThen make src/{names.package}/{IMPLEMENTATION[kind]} your own, and run pytest again after each change."
    )
