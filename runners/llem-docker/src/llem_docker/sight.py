"""The common view of the preflight checks: the engine, and into each image once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from llem.plugin_api import BACKENDS, ConfigError, LlemError, PreflightContext, RunnerContext
from llem_docker.engine import Engine, Image
from llem_docker.gpus import gpus_of
from llem_docker.options import DockerOptions
from llem_docker.plugin import RUNNER
from llem_docker.probe import Found, guarded, look_into
from llem_docker.runner import image_of, user_of


@dataclass(frozen=True)
class Use:
    """A backend in an image, with all GPUs that its experiments use."""

    backend: str
    reference: str
    gpus: tuple[str, ...]


@dataclass
class Sight:
    """The engine, the images that a plan uses, and what was found in them; each is looked at once.

    Attributes:
        near: the folder that results go to, or the nearest above it that exists.
    """

    engine: Engine
    options: DockerOptions
    uses: list[Use]
    near: Path
    _images: dict[str, Image | LlemError] = field(default_factory=dict)
    _found: dict[tuple[str, tuple[str, ...]], Found | LlemError] = field(default_factory=dict)

    @cached_property
    def info(self) -> dict[str, Any]:
        """`docker info`."""
        return self.engine.info()

    def image(self, use: Use) -> Image | LlemError:
        """The image, pulled where it is not here; or why there is none."""
        if use.reference not in self._images:
            try:
                self._images[use.reference] = self.engine.image(use.reference, pull=self.options.pull == "missing")
            except LlemError as error:
                self._images[use.reference] = error
        return self._images[use.reference]

    def with_gpus(self, use: Use) -> Found | LlemError:
        """The find inside with the GPUs; or why there is none."""
        key = (use.reference, use.gpus)
        if key not in self._found:
            image = self.image(use)
            self._found[key] = (
                image
                if isinstance(image, LlemError)
                else guarded(
                    lambda: look_into(self.engine, image, use.gpus, self.options, user_of(self.engine), self.near)
                )
            )
        return self._found[key]

    def plain(self, use: Use) -> Found | LlemError:
        """The find inside, with the GPUs where that works, else without: the image may be fine all the same."""
        found = self.with_gpus(use)
        if isinstance(found, LlemError) and use.gpus:
            return self.with_gpus(Use(use.backend, use.reference, ()))
        return found


def sight_of(context: PreflightContext) -> Sight | LlemError:
    """The view that the checks of one preflight share; the error where there is no engine."""
    return context.once(_look_or_error)


def _look_or_error(context: PreflightContext) -> Sight | LlemError:
    try:
        return _look(context)
    except LlemError as error:
        return error


def _look(context: PreflightContext) -> Sight:
    output = (context.output or Path()).expanduser().absolute()
    near = next(folder for folder in (output, *output.parents) if folder.is_dir())
    options = context.runner_options.get(RUNNER)
    if not isinstance(options, DockerOptions):
        options = DockerOptions.model_validate({})
    return Sight(engine=Engine(context.registry), options=options, uses=_uses(context), near=near)


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
