"""The runner `docker`: starts an ephemeral container for each experiment."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import Any

from llem.plugin_api import (
    EXPERIMENT,
    LOG,
    ConfigError,
    ExperimentConfig,
    Finding,
    Job,
    LlemError,
    RunnerContext,
    RunningJob,
)
from llem_containers.baseline_cache import BaselineCache
from llem_containers.exchange import folders, give_in, lifeline_in, read_experiment
from llem_containers.gpus import gpus_of
from llem_containers.mounts import Places, places_of
from llem_containers.names import reference_of
from llem_containers.tokens import TokenFile
from llem_docker import owner
from llem_docker.container import EXCHANGE, Inside, creation
from llem_docker.daemon import DockerDaemon, Image
from llem_docker.job import DockerJob, Parts
from llem_docker.logs import LogStream
from llem_docker.options import DockerOptions, options_of
from llem_hub.availability import hub_token


class DockerRunner:
    """Runs each experiment in a container of its own, one at a time."""

    def __init__(self, context: RunnerContext) -> None:
        self._context = context
        self._options = options_of(context)
        self._daemon: DockerDaemon | None = None
        self._image: Image | None = None
        self._left: list[str] = []
        self._baseline_cache = BaselineCache()

    def preflight(self, experiments: Sequence[ExperimentConfig]) -> Iterable[Finding]:
        """Check that an image is given; what it leads to, the checks of this plugin find out."""
        try:
            image_of(self._context)
        except ConfigError as error:
            yield Finding(level="error", message=str(error.what), remedy=error.remedy)

    def capacity(self) -> int:
        """One: two experiments at once would be in each other's figures."""
        return 1

    def start(self, job: Job) -> RunningJob:
        """Create and start the container.

        Raises:
            LlemError: the engine, the image, the toolkit or a model is not there; its class is the failure's type.
        """
        options = self._options
        daemon = self._connect()
        self._remove_left()
        if self._image is None or daemon.find(self._image.id) is None:
            self._image = daemon.image(image_of(self._context), pull=options.pull == "missing")
        expected = read_experiment(job.directory / EXPERIMENT)
        places = places_of(job.config, expected["base_dir"])
        network = _network(options, places)
        gpus = gpus_of(job.config, self._context.registry)
        with ExitStack() as always, ExitStack() as undo:
            try:
                exchange, scratch = folders(job.directory / EXCHANGE, places, undo)
                self._baseline_cache.give(scratch)
            except OSError as error:
                raise LlemError(
                    f"the container's folders cannot be made: {error.strerror or error}.", where=str(error.filename)
                ) from error
            token = hub_token() if network != "none" else None
            inside = Inside(
                image=self._image,
                job=exchange,
                scratch=scratch,
                places=places,
                options=options,
                user=user_of(daemon),
                network=network,
                labels=owner.labels(self._context.study_id, job.directory, job.config_hash, self._context.backend),
                gpus=gpus,
                token=always.enter_context(TokenFile(token)) if token else None,
                job_id=uuid.uuid4().hex,
                variables=job.environment,
            )
            give_in(exchange, expected, self._facts(inside, daemon))
            lifeline = lifeline_in(exchange)
            undo.callback(os.close, lifeline)
            container = daemon.create(self._image, creation(inside))
            undo.callback(self._discard, daemon, container)
            log = LogStream(daemon.output(container), job.directory / LOG, [token] if token else [])
            state = daemon.start(container, self._image)
            parts = Parts(
                daemon=daemon,
                container=container,
                options=options,
                directory=job.directory,
                exchange=exchange,
                scratch=scratch,
                expected=expected,
                log=log,
                secrets=[token] if token else [],
                lifeline=lifeline,
                left=self._left.append,
                baseline_cache=self._baseline_cache,
            )
            running = DockerJob(parts, state)
            undo.pop_all()
        return running

    def close(self) -> None:
        """Remove what could not be removed before, and close the connection."""
        if self._daemon is not None:
            self._remove_left()
            self._daemon.close()
            self._daemon = None

    def _connect(self) -> DockerDaemon:
        if self._daemon is not None and not self._daemon.answers():
            self._daemon.close()
            self._daemon = None
        if self._daemon is None:
            self._daemon = DockerDaemon(self._context.registry)
        return self._daemon

    def _remove_left(self) -> None:
        assert self._daemon is not None
        self._left = [container for container in self._left if not self._daemon.remove(container)]

    def _discard(self, daemon: DockerDaemon, container: str) -> None:
        if not daemon.remove(container):
            self._left.append(container)

    def _facts(self, inside: Inside, daemon: DockerDaemon) -> dict[str, Any]:
        """Facts of the container that a reader of the result needs."""
        options = inside.options
        return {
            "image": inside.image.reference,
            "image_id": inside.image.id,
            "image_digest": inside.image.digest,
            "engine_version": daemon.version,
            "gpus": list(inside.gpus),
            "network": inside.network,
            "shm_bytes": options.shm_bytes,
            "memory_limit_bytes": options.memory_bytes,
            "cpus": options.cpus,
            "pids_limit": options.pids,
            "meters_read": "inside the container, from the machine's devices",
        }


def image_of(context: RunnerContext) -> str:
    """The image that a backend runs in. Raises ConfigError where there is none."""
    return reference_of(context, "docker")


def user_of(daemon: DockerDaemon) -> str:
    """As whom a container runs, so that its files belong to whoever runs llem. A rootless engine maps root to that user."""
    rootless = any("name=rootless" in option for option in daemon.info().get("SecurityOptions") or ())
    return "0:0" if rootless else f"{os.getuid()}:{os.getgid()}"


def _network(options: DockerOptions, places: Places) -> str:
    if options.network != "auto":
        return options.network
    return "bridge" if places.fetches else "none"
