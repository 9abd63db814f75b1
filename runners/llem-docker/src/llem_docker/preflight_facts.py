"""The common view of the preflight checks: the engine, and into each image once."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from llem.plugin_api import LlemError, PreflightContext
from llem_containers.looks import Looks, uses_of
from llem_docker.daemon import DockerDaemon, Image
from llem_docker.image_probe import probe_image
from llem_docker.options import DockerOptions
from llem_docker.plugin import RUNNER
from llem_docker.runner import image_of, user_of


class PreflightFacts(Looks[Image]):
    """The engine, the images that a plan uses, and what was found in them.

    Args:
        near: the folder that results go to, or the nearest above it that exists.
    """

    def __init__(self, context: PreflightContext, daemon: DockerDaemon, options: DockerOptions, near: Path) -> None:
        super().__init__(
            uses_of(context, RUNNER, image_of),
            lambda reference: daemon.image(reference, pull=options.pull == "missing"),
            lambda image, gpus: probe_image(daemon, image, gpus, options, user_of(daemon), near),
        )
        self.daemon = daemon
        self.options = options

    @cached_property
    def info(self) -> dict[str, Any]:
        """`docker info`."""
        return self.daemon.info()


def facts_of(context: PreflightContext) -> PreflightFacts | LlemError:
    """The view that the checks of one preflight share; the error where there is no engine."""
    return context.once(_look_or_error)


def _look_or_error(context: PreflightContext) -> PreflightFacts | LlemError:
    try:
        return _look(context)
    except LlemError as error:
        return error


def _look(context: PreflightContext) -> PreflightFacts:
    output = (context.output or Path()).expanduser().absolute()
    near = next(folder for folder in (output, *output.parents) if folder.is_dir())
    options = context.runner_options.get(RUNNER)
    if not isinstance(options, DockerOptions):
        options = DockerOptions.model_validate({})
    return PreflightFacts(context, DockerDaemon(context.registry), options, near)
