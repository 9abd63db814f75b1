"""The looks into the images of a plan that the checks of one preflight share: each image is looked into once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from llem.plugin_api import BACKENDS, ConfigError, LlemError, PreflightContext, RunnerContext
from llem_containers.gpus import gpus_of
from llem_containers.image_facts import ImageFacts

ImageT = TypeVar("ImageT")


@dataclass(frozen=True)
class Use:
    """A backend in an image, with all GPUs that its experiments use."""

    backend: str
    reference: str
    gpus: tuple[str, ...]


class Looks(Generic[ImageT]):
    """The finds in the images of a plan.

    Args:
        uses: the images.
        get: takes a reference, gives the image; fetches it where it is not here.
        look: takes an image and the GPUs' UUIDs, runs the look inside. Both raise LlemError.
    """

    def __init__(
        self,
        uses: Sequence[Use],
        get: Callable[[str], ImageT],
        look: Callable[[ImageT, Sequence[str]], ImageFacts],
    ) -> None:
        self.uses = uses
        self._get = get
        self._look = look
        self._images: dict[str, ImageT | LlemError] = {}
        self._found: dict[tuple[str, tuple[str, ...]], ImageFacts | LlemError] = {}

    def image(self, use: Use) -> ImageT | LlemError:
        """The image; or why there is none."""
        if use.reference not in self._images:
            try:
                self._images[use.reference] = self._get(use.reference)
            except LlemError as error:
                self._images[use.reference] = error
        return self._images[use.reference]

    def with_gpus(self, use: Use) -> ImageFacts | LlemError:
        """The find inside with the GPUs; or why there is none."""
        key = (use.reference, use.gpus)
        if key not in self._found:
            self._found[key] = self._looked(use)
        return self._found[key]

    def _looked(self, use: Use) -> ImageFacts | LlemError:
        image = self.image(use)
        if isinstance(image, LlemError):
            return image
        try:
            return self._look(image, use.gpus)
        except LlemError as error:
            return error

    def plain(self, use: Use) -> ImageFacts | LlemError:
        """The find inside, with the GPUs where that works, else without: the image may be fine all the same."""
        found = self.with_gpus(use)
        if isinstance(found, LlemError) and use.gpus:
            return self.with_gpus(Use(use.backend, use.reference, ()))
        return found


def uses_of(context: PreflightContext, runner: str, reference_of: Callable[[RunnerContext], str]) -> list[Use]:
    """The images that a plan uses by a runner.

    Args:
        runner: its name.
        reference_of: gives the image of a backend; raises ConfigError where there is none, which the runner's own check says.
    """
    found = []
    registry = context.registry
    for backend, chosen in context.runners.items():
        name, _, argument = chosen.partition(":")
        if name != runner:
            continue
        spec = registry.find(BACKENDS, backend)
        try:
            reference = reference_of(
                RunnerContext(
                    registry=registry,
                    argument=argument or None,
                    backend=backend,
                    image=spec.image,
                    cpu_image=spec.cpu_image,
                )
            )
        except ConfigError:
            continue
        gpus: dict[str, None] = {}
        for experiment in context.experiments:
            if experiment.backend == backend:
                gpus.update(dict.fromkeys(gpus_of(experiment, registry)))
        found.append(Use(backend, reference, tuple(gpus)))
    return found
