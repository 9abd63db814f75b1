"""The check `openai-server`: what would fail in the worker, told before anything starts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from llem.plugin_api import Finding, ModelError, PreflightContext
from llem_openai.access import access
from llem_openai.address import address_of
from llem_openai.config import OpenaiConfig
from llem_openai.engine import sampling_fields, served_name
from llem_openai.own_server import check_command, check_here
from llem_openai.place import place_of
from llem_openai.serve_command import words_of
from llem_openai.server import NamedServer


def check_server(context: PreflightContext) -> Iterator[Finding]:
    """Ask each server that the plan uses for its models, and see to the command of one that is to be started; nothing is generated."""
    for config in context.experiments:
        if not isinstance(config.options, OpenaiConfig):
            continue
        options = config.options
        try:
            sampling_fields(config)
            if options.serve is not None:
                check_here(options)
                check_command(options, Path(context.base_dir))
                yield Finding(level="ok", message=f"{words_of(options.serve)[0]} will be started for each experiment")
                continue
            if options.pid is not None:
                check_here(options)
                NamedServer(options.pid, address_of(options.base_url).port)
            place = place_of(options)
            name = served_name(access(options, str(context.base_dir)), config)
        except ModelError as error:
            where = f"{error.where}: " if error.where else ""
            yield Finding(level="error", message=f"{where}{error.what}", remedy=error.remedy)
            continue
        if place.elsewhere is not None:
            yield Finding(
                level="warning",
                message=f"{options.base_url} is another machine: the result will have speed and latency, and no energy",
                remedy="Run llem where the server runs, or set openai.same_machine: true if it is this one.",
            )
        else:
            yield Finding(level="ok", message=f"{options.base_url} serves {name}")
