"""The server of an experiment that runs here by `openai.serve` or `openai.pid`, and what of the study speaks against it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from llem.plugin_api import LoadContext, ModelError
from llem_openai.access import access
from llem_openai.address import address_of
from llem_openai.config import OpenaiConfig
from llem_openai.listening import is_free
from llem_openai.place import is_here
from llem_openai.serve_command import PORT, filled, port_for, with_port, words_of
from llem_openai.server import NamedServer, Server
from llem_openai.started_server import StartedServer, answers_by


@dataclass(frozen=True)
class Found:
    """A server and how it is reached.

    Attributes:
        server: whose processes are the experiment's own; None where it is somebody else's.
        options: the section with the address at which it answers.
        command: by which it was started; empty where it was not.
    """

    server: Server | None
    options: OpenaiConfig
    command: tuple[str, ...] = ()


def check_here(options: OpenaiConfig) -> None:
    """Raise ModelError where the address is not of this machine, on which a server of the experiment's own is."""
    address = address_of(options.base_url)
    if options.same_machine is not True and not is_here(address.host, options):
        key = "openai.serve" if options.serve is not None else "openai.pid"
        raise ModelError(
            f"{key} is a server on this machine, and {address.host} is another one.",
            where=options.base_url,
            remedy="Correct openai.base_url; http://127.0.0.1:8000/v1 is this machine.",
        )


def check_command(options: OpenaiConfig, base_dir: Path) -> None:
    """Raise ModelError where `openai.serve` cannot start, as far as that can be told without starting it."""
    assert options.serve is not None
    words = words_of(options.serve)
    program = words[0]
    path = str(base_dir / program) if os.sep in program else program
    if shutil.which(path) is None:
        raise ModelError(
            f"there is no program {program}.", where="openai.serve", remedy="Install it, or correct openai.serve."
        )
    port = address_of(options.base_url).port
    if not any(PORT in word for word in words) and not is_free(port):
        raise ModelError(
            f"somebody listens on port {port} already, at which the server of openai.serve shall answer.",
            where=options.base_url,
            remedy="End it, or put {port} into openai.serve in place of the port: then a free one is chosen.",
        )


def find_server(options: OpenaiConfig, model: str, context: LoadContext, keep: Callable[[Server], None]) -> Found:
    """Start the server, or find the one that is named.

    Args:
        options: the section.
        model: the study's.
        context: of the experiment.
        keep: takes the server as soon as there is one: it has to be closed whatever happens.

    Raises:
        ModelError: there is none, or it does not answer.
    """
    if options.pid is not None:
        check_here(options)
        named = NamedServer(options.pid, address_of(options.base_url).port)
        keep(named)
        return Found(named, options)
    if options.serve is None:
        return Found(None, options)
    check_here(options)
    folder = Path(context.base_dir)
    check_command(options, folder)
    words = words_of(options.serve)
    port = port_for(words, options.base_url)
    if port != address_of(options.base_url).port:
        options = options.model_copy(update={"base_url": with_port(options.base_url, port)})
    command = filled(words, port, model)
    context.progress(f"starting {Path(command[0]).name} on port {port}")
    started = StartedServer(command, port, folder, Path(context.job_dir) if context.job_dir is not None else None)
    keep(started)
    started.await_ready(answers_by(access(options, context.base_dir).get), options.serve_timeout_s, context.progress)
    return Found(started, options, tuple(command))
