"""The common view of the preflight checks: the engine, and into each image once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from llem.plugin_api import BACKENDS, ConfigError, LlemError, PreflightContext, RunnerContext
from llem_containers.gpus import gpus_of
from llem_containers.image_facts import ImageFacts, guarded
from llem_docker.daemon import DockerDaemon, Image
from llem_docker.image_probe import probe_image
from llem_docker.options import DockerOptions
from llem_docker.plugin import RUNNER
from llem_docker.runner import image_of, user_of


@dataclass(frozen=True)
class Use:
    """A backend in an image, with all GPUs that its experiments use."""

    backend: str
    reference: str
    gpus: tuple[str, ...]


@dataclass
class PreflightFacts:
    """The engine, the images that a plan uses, and what was found in them; each is looked at once.

    Attributes:
        near: the folder that results go to, or the nearest above it that exists.
    """

    daemon: DockerDaemon
    options: DockerOptions
    uses: list[Use]
    near: Path
    _images: dict[str, Image | LlemError] = field(default_factory=dict)
    _found: dict[tuple[str, tuple[str, ...]], ImageFacts | LlemError] = field(default_factory=dict)

    @cached_property
    def info(self) -> dict[str, Any]:
        """`docker info`."""
        return self.daemon.info()

    def image(self, use: Use) -> Image | LlemError:
        """The image, pulled where it is not here; or why there is none."""
        if use.reference not in self._images:
            try:
                self._images[use.reference] = self.daemon.image(use.reference, pull=self.options.pull == "missing")
            except LlemError as error:
                self._images[use.reference] = error
        return self._images[use.reference]

    def with_gpus(self, use: Use) -> ImageFacts | LlemError:
        """The find inside with the GPUs; or why there is none."""
        key = (use.reference, use.gpus)
        if key not in self._found:
            image = self.image(use)
            self._found[key] = (
                image
                if isinstance(image, LlemError)
                else guarded(
                    lambda: probe_image(self.daemon, image, use.gpus, self.options, user_of(self.daemon), self.near)
                )
            )
        return self._found[key]

    def plain(self, use: Use) -> ImageFacts | LlemError:
        """The find inside, with the GPUs where that works, else without: the image may be fine all the same."""
        found = self.with_gpus(use)
        if isinstance(found, LlemError) and use.gpus:
            return self.with_gpus(Use(use.backend, use.reference, ()))
        return found


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
    return PreflightFacts(daemon=DockerDaemon(context.registry), options=options, uses=_uses(context), near=near)


def _uses(context: PreflightContext) -> list[Use]:
    found = []
    registry = context.registry
    for backend, runner in context.runners.items():
        name, _, argument = runner.partition(":")
        if name != RUNNER:
            continue
        spec = registry.find(BACKENDS, backend)
        try:
            reference = image_of(
                RunnerContext(
                    registry=registry,
                    argument=argument or None,
                    backend=backend,
                    image=spec.image,
                    cpu_image=spec.cpu_image,
                )
            )
        except ConfigError:
            continue  # the runner's own check says so
        gpus: dict[str, None] = {}
        for experiment in context.experiments:
            if experiment.backend == backend:
                gpus.update(dict.fromkeys(gpus_of(experiment, registry)))
        found.append(Use(backend, reference, tuple(gpus)))
    return found
