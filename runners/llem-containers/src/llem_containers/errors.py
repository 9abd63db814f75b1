"""Errors before a container runs that every runner can meet; each class names the type of the failure in a result."""

from __future__ import annotations

from llem.plugin_api import LlemError


class ImageMissing(LlemError):  # noqa: N818
    """The image is not here, and nothing says where it could come from."""

    topic = "docker"


class PullFailed(LlemError):  # noqa: N818
    """The registry was asked for the image and did not give it."""

    topic = "docker"


class ImageUnfit(LlemError):  # noqa: N818
    """The image is here and cannot run an experiment."""

    topic = "docker"


class GpuRefused(LlemError):  # noqa: N818
    """The container could not be given its GPUs."""

    topic = "docker"


class DiskFull(LlemError):  # noqa: N818
    """There is no room for an image or a container."""

    topic = "docker"
