"""The name of the image that a backend runs in."""

from __future__ import annotations

from llem.plugin_api import ConfigError, RunnerContext
from llem_containers.gpus import target_here

CUDA, CPU = "cuda", "cpu"


def name_of(image: str | None, cpu_image: str | None, target: str) -> str | None:
    """The image that a backend runs in on a machine of a kind, by what its spec says; None where it names none for it.

    Args:
        image: the spec's image; cpu_image: the one for a machine without an NVIDIA GPU, where it is another.
        target: `cuda` or `cpu`.
    """
    return cpu_image if target == CPU and cpu_image else image


def reference_of(context: RunnerContext, runner: str, own: str = "") -> str:
    """The image that a backend runs in: the one given, else the backend's own for a machine such as this.

    Args:
        runner: that asks, for messages; own: what it writes before a backend's own name.

    Raises:
        ConfigError: there is none.
    """
    if context.argument:
        return context.argument
    name = name_of(context.image, context.cpu_image, target_here())
    if not name:
        raise ConfigError(
            f"the backend `{context.backend}` names no image of its own.",
            where="runners",
            remedy=f"Name one: --runner {runner}:IMAGE, or runners: {{{context.backend}: {runner}:IMAGE}}.",
        )
    return f"{own}{name}"
