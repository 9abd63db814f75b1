"""The name of the image that a backend runs in."""

from __future__ import annotations

CUDA, CPU = "cuda", "cpu"


def name_of(image: str | None, cpu_image: str | None, target: str) -> str | None:
    """The image that a backend runs in on a machine of a kind, by what its spec says; None where it names none for it.

    Args:
        image: the spec's image; cpu_image: the one for a machine without an NVIDIA GPU, where it is another.
        target: `cuda` or `cpu`.
    """
    return cpu_image if target == CPU and cpu_image else image
