"""Pulls an image, and tells a pull's causes of failure apart."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from llem.errors import PreflightError

if TYPE_CHECKING:
    from docker import DockerClient

_CAUSES = (
    (r"no space left", "the disk of the Docker engine is full", "Free space: docker system prune."),
    (
        r"unauthorized|denied|authentication required",
        "the registry does not give it out: it is private, or it does not exist",
        "Log in (docker login REGISTRY), check the name, or build it: llem images build.",
    ),
    (
        r"not found|manifest unknown|no such image",
        "the registry has no such image",
        "Check the name with `llem images list`, or build it: llem images build.",
    ),
    (r"no matching manifest", "the registry has it for other kinds of machine only", "Build it: llem images build."),
    (r"toomanyrequests|rate limit", "the registry's limit of pulls is used up", "Log in, or wait."),
    (
        r"x509|certificate",
        "the registry's certificate is not trusted by the Docker engine",
        "Give the engine your network's certificates (/etc/docker/certs.d), and start it again.",
    ),
    (
        r"no such host|dial tcp|timeout|connection refused|unreachable|reset by peer|EOF|Client\.Timeout",
        "the registry cannot be reached from the Docker engine",
        "Check network and proxy of the engine, or build the image: llem images build.",
    ),
)
"""What the engine says of a failed pull, as a pattern; what it means; what to do. The first that fits is taken."""


def pull(client: DockerClient, reference: str, tell: Callable[[str], None]) -> str:
    """Pull an image.

    Args:
        client: of the engine.
        reference: the image; without a tag, `latest`.
        tell: takes a line for each change of state, such as `12 of 20 layers, 3,210 of 8,412 MiB`.

    Returns:
        The image's id.

    Raises:
        PreflightError: it could not be pulled; with the cause, and what the engine said.
    """
    from docker.errors import APIError, DockerException
    from docker.utils import parse_repository_tag

    repository, tag = parse_repository_tag(reference)
    try:
        for line in progress(client.api.pull(repository, tag or "latest", stream=True, decode=True)):
            tell(line)
        return str(client.images.get(reference).id)
    except PullFailedError as error:
        raise explained(reference, str(error)) from None
    except APIError as error:
        raise explained(reference, error.explanation or str(error)) from error
    except (DockerException, OSError) as error:
        raise explained(reference, str(error)) from error


class PullFailedError(Exception):
    """The engine's own words, out of the stream of a pull."""


def progress(events: Iterator[Mapping[str, Any]]) -> Iterator[str]:
    """Lines that tell how far a pull is, at most one for each percent. Raises PullFailedError where the stream tells of an error."""
    layers: dict[str, tuple[int, int]] = {}
    finished: set[str] = set()
    last = -1
    for event in events:
        if "error" in event:
            raise PullFailedError(str(event["error"]))
        name, status, detail = event.get("id"), event.get("status", ""), event.get("progressDetail") or {}
        if name and status == "Downloading" and "total" in detail:
            layers[name] = (detail["current"], detail["total"])
        elif name and status in ("Download complete", "Pull complete", "Already exists"):
            layers[name] = (layers[name][1],) * 2 if name in layers else (0, 0)
            if status != "Download complete":
                finished.add(name)
        done, total = (sum(parts) for parts in zip(*layers.values(), strict=True)) if layers else (0, 0)
        percent = 100 * done // total if total else 0
        if layers and percent != last:
            last = percent
            yield f"{len(finished)} of {len(layers)} layers, {done / 2**20:,.0f} of {total / 2**20:,.0f} MiB"


def explained(reference: str, said: str) -> PreflightError:
    """The error for what the engine said of a pull."""
    for pattern, meaning, remedy in _CAUSES:
        if re.search(pattern, said, re.IGNORECASE):
            return PreflightError(
                f"the image {reference} could not be pulled: {meaning}. Docker says: {said.strip()}", remedy=remedy
            )
    return PreflightError(f"the image {reference} could not be pulled. Docker says: {said.strip()}")
