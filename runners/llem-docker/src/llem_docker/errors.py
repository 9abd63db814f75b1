"""Errors of the engine before a container runs; each class names the type of the failure in a result."""

from __future__ import annotations

import re

from llem.plugin_api import LlemError, PreflightError, SpecRegistry
from llem_containers.errors import DiskFull, GpuRefused, ImageMissing, PullFailed
from llem_containers.image_facts import no_python
from llem_docker.images.recipe import builder_of, recipes


class EngineUnavailable(PreflightError):  # noqa: N818
    """The Docker engine is not installed, not running, or not for this user."""

    topic = "docker"


class ToolkitMissing(LlemError):  # noqa: N818
    """The engine does not know how to give a container a GPU."""

    topic = "docker"


class ContainerRefused(LlemError):  # noqa: N818
    """The engine would not create or start the container, for another reason."""

    topic = "docker"


TOOLKIT_REMEDY = (
    "Install it (Debian and Ubuntu: sudo apt-get install nvidia-container-toolkit, from NVIDIA's repository), then: "
    "sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker; "
    "or, for CDI: sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml."
)


NOT_FOUND = 127
"""The exit code of an init program that does not find what it is to start."""


def start_error(text: str, image: str, registry: SpecRegistry | None = None) -> LlemError:
    """The error that the engine's own message about creating or starting a container means."""
    message = _first_words(text)
    lower = text.lower()
    if "could not select device driver" in lower or "unresolvable cdi devices" in lower:
        return ToolkitMissing(
            f"the engine cannot give a container a GPU, because NVIDIA's container toolkit is not set up: {message}",
            remedy=TOOLKIT_REMEDY,
        )
    if "nvidia-container" in lower or "nvml" in lower or "nvidia-ctk" in lower:
        return GpuRefused(
            f"NVIDIA's container toolkit could not pass the GPUs in: {message}",
            remedy="Compare `nvidia-smi -L` here with the error; after a driver update, reboot and generate CDI anew.",
        )
    if "docker-init" in lower:
        return ContainerRefused(
            f"the engine's init program is missing: {message}",
            remedy="Install it (Debian: sudo apt-get install tini), or Docker's own packages.",
        )
    if "executable file not found" in lower or "no such file or directory: unknown" in lower:
        return no_python(image)
    if "no space left on device" in lower or "disk quota exceeded" in lower:
        return DiskFull(
            f"the engine has no room: {message}",
            remedy="Look with `docker system df`, make room with `docker system prune`.",
        )
    if "no such image" in lower:
        return ImageMissing(
            f"the image {image} is not here.",
            remedy=f"See `docker images`; `llem images pull` fetches it. {how_to_build(image, registry)}",
        )
    return ContainerRefused(
        f"the engine refuses the container: {message}", remedy="See the engine's log: journalctl -u docker."
    )


def pull_error(text: str, image: str, registry: SpecRegistry | None = None) -> LlemError:
    """The error that the engine's message about a pull means."""
    message = _first_words(text)
    lower = text.lower()
    what = f"the image {image} is not here, and pulling it failed: {message}"
    if "no space left on device" in lower:
        return DiskFull(what, remedy="Look with `docker system df`, make room with `docker system prune`.")
    if any(word in lower for word in ("unauthorized", "denied", "authentication", "forbidden")):
        remedy = "Check the name; if it is private: docker login REGISTRY."
    elif any(word in lower for word in ("not found", "manifest unknown", "does not exist")):
        remedy = "Check name and tag; `docker images` lists what is here."
    elif "toomanyrequests" in lower or "rate limit" in lower:
        remedy = "Wait, or log in: docker login."
    else:
        remedy = (
            f"Check the network of the engine (docker pull {image}); behind a proxy, set it for the engine's service."
        )
    return PullFailed(what, remedy=f"{remedy} {how_to_build(image, registry)}")


def how_to_build(image: str, registry: SpecRegistry | None) -> str:
    """A sentence with the command that builds an image here; for either kind of machine where it is another for each.

    Args:
        image: its reference.
        registry: holds the backends whose recipes are known; None where nobody told.
    """
    builder = builder_of(image, recipes(registry)) if registry is not None else None
    what, backend = ("it", builder.backend) if builder else ("one of a backend that brings its own", "BACKEND")
    either = builder is None or len(builder.targets) > 1
    kinds = " --target cpu, or --target cuda for a machine with an NVIDIA GPU" if either else ""
    return f"Build {what} here: llem images build {backend}{kinds}."


def _first_words(text: str) -> str:
    """The engine's message on one line, at most 400 characters, with a full stop."""
    line = re.sub(r"\s+", " ", text).strip()
    line = line if len(line) <= 400 else f"{line[:400]}…"
    return line if line.endswith((".", "!", "?", "…")) else f"{line}."
