"""The runner `slurm`: every experiment is an element of a job array."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

from llem.plugin_api import (
    BACKENDS,
    RUNNERS,
    ConfigError,
    ExperimentConfig,
    Finding,
    Job,
    PluginError,
    RunnerContext,
    RunningJob,
)
from llem_slurm.cluster import Cluster
from llem_slurm.job import SlurmJob
from llem_slurm.limits import SiteLimits, site_limits
from llem_slurm.nodes import Placer
from llem_slurm.options import SlurmOptions
from llem_slurm.script import need_of
from llem_slurm.submission import Submission
from llem_slurm.worker_start import container_options


class SlurmRunner:
    """Puts experiments into the queue of a Slurm cluster, many at once, and learns how they ended."""

    def __init__(self, context: RunnerContext) -> None:
        self._context = context
        self._options = options_of(context)
        self._lock = threading.Lock()
        self._cluster: Cluster | None = None
        self._limits: SiteLimits | None = None
        self._placer = Placer(self._options)

    def preflight(self, experiments: Sequence[ExperimentConfig]) -> Iterable[Finding]:
        """Check that the settings fit each other; what the cluster says, the checks of this plugin find out."""
        if self._context.argument and self._options.image and self._context.argument != self._options.image:
            yield Finding(
                level="error",
                message=f"two images are given: slurm:{self._context.argument}, and runner_options.slurm.image: "
                f"{self._options.image}",
                remedy="Keep one of them.",
            )
        if self._image() is None:
            return
        # Nodes and this machine have the same plugins: what is missing here is told before a job has waited in a queue.
        try:
            container_options(
                self._context.registry.find(RUNNERS, self._options.container), self._options.container_options
            )
        except PluginError as error:
            yield Finding(
                level="error",
                message=f"`{self._options.container}` is to run the image on the nodes: {str(error.what).rstrip('.')}",
                remedy=f"Install it here and on the nodes: pip install llem-{self._options.container}.",
            )
        except ConfigError as error:
            page = "docker.md" if self._options.container == "docker" else "apptainer.md"
            yield Finding(level="error", message=f"{error.where}: {error.what}", remedy=f"See docs/{page}.")

    def capacity(self) -> int:
        """As many as the site lets this user have in the queue, and the options allow."""
        limits = self._site()
        return self._options.capacity if limits.submit is None else max(1, min(self._options.capacity, limits.submit))

    def start(self, job: Job) -> RunningJob:
        """Take the job up; it is in the queue a moment later, in one array with those that are started along with it.

        Raises:
            LlemError: there is no Slurm here, or no node for a job that the study places.
        """
        backend = self._context.registry.find(BACKENDS, job.config.backend)
        need = need_of(job.config, backend, self._options)
        if job.placement is not None:
            node = self._placer.node_for(job.placement, need.gpus)
            need = need_of(job.config, backend, self._options, node=node)
        cluster = self._connect(job.directory)
        running = SlurmJob(job, need, cluster.stir)
        cluster.add(running)
        return running

    def close(self) -> None:
        """End the thread that watches the queue."""
        with self._lock:
            cluster, self._cluster = self._cluster, None
        if cluster is not None:
            cluster.close()

    def _image(self) -> str | None:
        """The image as nodes find it: Apptainer's file by its whole path, since their jobs start in another folder."""
        image = self._context.argument or self._options.image
        if image and self._options.container == "apptainer" and Path(image).exists():
            return str(Path(image).absolute())
        return image

    def _site(self) -> SiteLimits:
        with self._lock:
            if self._limits is None:
                self._limits = site_limits(self._options)
            return self._limits

    def _connect(self, job_dir: Path) -> Cluster:
        limits = self._site()
        with self._lock:
            if self._cluster is None:
                study_dir = self._context.study_dir or job_dir.parent.parent
                name = f"llem-{self._context.study_id or study_dir.name}"
                image = self._image()
                submission = Submission(study_dir, name, self._options, image, limits.array)
                self._cluster = Cluster(submission, study_dir, self._options)
            return self._cluster


def options_of(context: RunnerContext) -> SlurmOptions:
    """The options that the study sets. Raises ConfigError where they are another runner's."""
    options = context.options or SlurmOptions()
    if not isinstance(options, SlurmOptions):
        raise ConfigError(f"the options are {type(options).__name__}'s, not Slurm's.", where="runner_options")
    return options
