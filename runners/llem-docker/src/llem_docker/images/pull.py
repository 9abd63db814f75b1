"""Pulls an image, telling how far it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import docker
import requests
from docker.errors import APIError, DockerException
from docker.utils import parse_repository_tag

from llem.plugin_api import SpecRegistry
from llem_docker.daemon import PULL_TIMEOUT_S, DockerDaemon, gone
from llem_docker.errors import pull_error


def pull(daemon: DockerDaemon, reference: str, tell: Callable[[str], None]) -> str:
    """Pull an image, also where one of that name is here.

    Args:
        engine: the Docker engine.
        reference: the image; without a tag, `latest`.
        tell: takes lines such as `12 of 20 layers, 3,210 of 8,412 MiB`, one for each percent at most.

    Returns:
        The image's id.

    Raises:
        PullFailed, DiskFull: it could not be pulled, and why.
        EngineUnavailable: the engine went away.
    """
    repository, tag = parse_repository_tag(reference)
    client = docker.APIClient(base_url=daemon.address, version="auto", timeout=PULL_TIMEOUT_S)
    try:
        for line in progress(
            client.pull(repository, tag=tag or "latest", stream=True, decode=True), reference, daemon.registry
        ):
            tell(line)
        return str(daemon.client.images.get(reference).id)
    except APIError as error:
        raise pull_error(str(error.explanation or error), reference, daemon.registry) from error
    except (DockerException, requests.RequestException, OSError) as error:
        if not daemon.answers():
            raise gone(daemon.address) from error
        raise pull_error(str(error), reference, daemon.registry) from error
    finally:
        client.close()


def progress(
    events: Iterable[Mapping[str, Any]], reference: str, registry: SpecRegistry | None = None
) -> Iterator[str]:
    """Lines that tell how far a pull is. Raises what `pull_error` makes of an error in the stream."""
    layers: dict[str, tuple[int, int]] = {}
    finished: set[str] = set()
    last = -1
    for event in events:
        if "error" in event:
            raise pull_error(str(event["error"]), reference, registry)
        name, status, detail = event.get("id"), event.get("status", ""), event.get("progressDetail") or {}
        if name and status == "Downloading" and "total" in detail:
            layers[name] = (detail["current"], detail["total"])
        elif name and status in {"Download complete", "Pull complete", "Already exists"}:
            size = layers.get(name, (0, 0))[1]
            layers[name] = (size, size)
            if status != "Download complete":
                finished.add(name)
        done, total = (sum(parts) for parts in zip(*layers.values(), strict=True)) if layers else (0, 0)
        percent = 100 * done // total if total else 0
        if layers and percent != last:
            last = percent
            yield f"{len(finished)} of {len(layers)} layers, {done / 2**20:,.0f} of {total / 2**20:,.0f} MiB"
