"""The Docker engine of this machine: found, asked, and its refusals turned into llem's errors."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import docker
import requests
from docker.context import ContextAPI
from docker.errors import APIError, DockerException, ImageNotFound, NotFound

from llem.plugin_api import LlemError, SpecRegistry
from llem_containers.errors import ImageMissing
from llem_docker.errors import EngineUnavailable, how_to_build, pull_error, start_error

DEFAULT = "unix:///var/run/docker.sock"
TIMEOUT_S = 60
PULL_TIMEOUT_S = 600
"""Without a word from the engine while it pulls."""


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image that is here.

    Attributes:
        reference: as the user named it.
        id: `sha256:…` of its configuration; digest: `NAME@sha256:…` as a registry knows it, or None.
        environment: its variables; labels: its labels.
    """

    reference: str
    id: str
    digest: str | None
    environment: Mapping[str, str]
    labels: Mapping[str, str]


def address() -> str:
    """Where the engine listens: DOCKER_HOST, else the Docker client's current context, else the usual socket."""
    if os.environ.get("DOCKER_HOST"):
        return os.environ["DOCKER_HOST"]
    try:
        context = ContextAPI.get_current_context()
        return str(context.Host or DEFAULT) if context is not None else DEFAULT
    except (DockerException, OSError, ValueError, KeyError, TypeError):
        return DEFAULT  # an unreadable client configuration is the client's own matter


class DockerDaemon:
    """A connection to the engine.

    Args:
        registry: holds the backends whose images a message may say how to build.

    Raises:
        EngineUnavailable: it is not installed, not running, elsewhere, or not for this user; says which, and what to do.
    """

    def __init__(self, registry: SpecRegistry | None = None) -> None:
        self.registry = registry
        self.address = address()
        _reach(self.address)
        try:
            self.client = docker.DockerClient(base_url=self.address, version="auto", timeout=TIMEOUT_S)
        except (DockerException, requests.RequestException) as error:
            raise EngineUnavailable(
                f"the Docker engine does not answer: {error}.",
                where=self.address,
                remedy="Look at it: sudo systemctl status docker; journalctl -u docker.",
            ) from error
        with self.answering():
            self.version = str(self.client.version().get("Version") or "unknown")

    def info(self) -> dict[str, Any]:
        """The engine's account of itself (`docker info`)."""
        with self.answering():
            found: dict[str, Any] = self.client.info()
            return found

    def answers(self) -> bool:
        """Tell whether it is there right now."""
        try:
            _reach(self.address)
            return bool(self.client.ping())
        except (EngineUnavailable, DockerException, requests.RequestException, OSError):
            return False

    def attributes(self, reference: str) -> Mapping[str, Any] | None:
        """An image that is here, as the engine's inspection gives it, or None."""
        with self.answering():
            try:
                found: Mapping[str, Any] = self.client.images.get(reference).attrs
            except ImageNotFound:
                return None
            return found

    def find(self, reference: str) -> Image | None:
        """An image that is here, or None."""
        attrs = self.attributes(reference)
        if attrs is None:
            return None
        config = attrs.get("Config") or {}
        variables = (entry.partition("=") for entry in config.get("Env") or ())
        return Image(
            reference=reference,
            id=attrs["Id"],
            digest=next(iter(attrs.get("RepoDigests") or ()), None),
            environment={name: value for name, _, value in variables},
            labels=dict(config.get("Labels") or {}),
        )

    def image(self, reference: str, *, pull: bool) -> Image:
        """The image, pulled where it is not here and `pull` allows it.

        Raises:
            ImageMissing: it is not here and is not to be pulled.
            PullFailed, DiskFull: pulling failed, and why.
        """
        found = self.find(reference)
        if found is None and (not pull or reference.startswith("sha256:")):
            raise ImageMissing(
                f"the image {reference} is not here, and is not to be pulled.",
                remedy=f"{how_to_build(reference, self.registry)} Or pull it (docker pull {reference}), or set runner_options.docker.pull to missing.",
            )
        if found is None:
            self._pull(reference)
            found = self.find(reference)
        if found is None:
            raise ImageMissing(f"the image {reference} was pulled and is not here.", remedy="See `docker images`.")
        return found

    def _pull(self, reference: str) -> None:
        print(f"llem: pulling the image {reference}; this happens once", file=sys.stderr, flush=True)
        repository, tag = _split(reference)
        client = docker.APIClient(base_url=self.address, version="auto", timeout=PULL_TIMEOUT_S)
        try:
            for line in client.pull(repository, tag=tag, stream=True, decode=True):
                if line.get("error"):
                    raise pull_error(str(line["error"]), reference, self.registry)
        except APIError as error:
            raise pull_error(str(error.explanation or error), reference, self.registry) from error
        except (DockerException, requests.RequestException, OSError) as error:
            if not self.answers():
                raise gone(self.address) from error
            raise pull_error(str(error), reference, self.registry) from error
        finally:
            client.close()

    def create(self, image: Image, options: Mapping[str, Any]) -> str:
        """Create a container and return its id. Raises what `llem_docker.errors.start_error` makes of a refusal."""
        with self.starting(image):
            return str(self.client.containers.create(image.id, **options).id)

    def output(self, container: str) -> Iterable[bytes]:
        """The output of a container, in pieces, to its end. Asked for before the start: the engine keeps none."""
        with self.answering():
            stream: Iterable[bytes] = self.client.api.attach(
                container, stdout=True, stderr=True, stream=True, logs=False
            )
            return stream

    def start(self, container: str, image: Image) -> dict[str, Any]:
        """Start a container and return its `State`. Raises as `create` does."""
        with self.starting(image):
            self.client.api.start(container)
            state: dict[str, Any] = self.client.api.inspect_container(container)["State"]
            return state

    def remove(self, container_id: str) -> bool:
        """Remove a container, running or not, with its volumes. False where the engine did not do it."""
        try:
            self.client.api.remove_container(container_id, force=True, v=True)
        except NotFound:
            return True
        except APIError as error:
            return "already in progress" in str(error)
        except (DockerException, requests.RequestException, OSError):
            return False
        return True

    def state(self, container_id: str) -> dict[str, Any] | None:
        """A container's `State`; None where the engine is gone."""
        try:
            found: dict[str, Any] = self.client.api.inspect_container(container_id)["State"]
        except NotFound:
            return {"ExitCode": 137, "Running": False, "Error": "somebody removed the container"}
        except (DockerException, requests.RequestException, OSError):
            return None
        return found

    @contextmanager
    def starting(self, image: Image) -> Iterator[None]:
        """Turns refusals of `create` and `start` into the error that they mean."""
        with self.answering():
            try:
                yield
            except APIError as error:
                raise start_error(str(error.explanation or error), image.reference, self.registry) from error

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Turns a connection that breaks into EngineUnavailable, and other refusals into one paragraph."""
        try:
            yield
        except LlemError:
            raise
        except APIError as error:
            raise LlemError(f"the Docker engine refuses: {error.explanation or error}.", where=self.address) from error
        except (DockerException, requests.RequestException, OSError) as error:
            raise gone(self.address) from error

    def close(self) -> None:
        """Close the connection."""
        self.client.close()


def gone(where: str) -> EngineUnavailable:
    """The engine was there and is no more."""
    return EngineUnavailable(
        "the Docker engine went away.",
        where=where,
        remedy="Start it again: sudo systemctl start docker; its log says why it ended: journalctl -u docker.",
    )


def _reach(where: str) -> None:
    """Connect to the engine's socket, to tell apart what the SDK reports as one error."""
    if not where.startswith(("unix://", "/")):
        raise EngineUnavailable(
            "the Docker engine is on another machine, and a job directory can only be mounted on its own.",
            where=where,
            remedy="Run llem on the machine of the engine; unset DOCKER_HOST, or: docker context use default.",
        )
    path = where.removeprefix("unix://")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(10)
        try:
            probe.connect(path)
        except PermissionError as error:
            raise EngineUnavailable(
                "this user may not use the Docker engine: no permission on its socket.",
                where=path,
                remedy="Join the group docker (which makes you as mighty as root): sudo usermod -aG docker $USER, "
                "then log in again or: newgrp docker.",
            ) from error
        except FileNotFoundError as error:
            if shutil.which("dockerd") is None and shutil.which("docker") is None:
                raise EngineUnavailable(
                    "Docker is not installed here.",
                    where=path,
                    remedy="Install it: sudo apt-get install docker.io, or see https://docs.docker.com/engine/install.",
                ) from error
            raise EngineUnavailable(
                "the Docker engine is not running: its socket is not there.",
                where=path,
                remedy="Start it: sudo systemctl start docker.",
            ) from error
        except OSError as error:
            raise EngineUnavailable(
                f"the Docker engine is not running: {error.strerror or error}.",
                where=path,
                remedy="Start it: sudo systemctl start docker; journalctl -u docker says why it ended.",
            ) from error


def _split(reference: str) -> tuple[str, str | None]:
    """Repository and tag (or digest) of a reference; `latest` where none is given."""
    if "@" in reference:
        repository, _, digest = reference.partition("@")
        return repository, digest
    repository, colon, tag = reference.rpartition(":")
    if colon and "/" not in tag:
        return repository, tag
    return reference, "latest"
