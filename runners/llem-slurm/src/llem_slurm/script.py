"""The input of sbatch: the script of an array and its options. Pure functions."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from llem.plugin_api import BackendSpec, ExperimentConfig
from llem_slurm.options import SlurmOptions

START_S = 600.0
"""Time that a job may take beside its experiment's own limit: a cold file system, a large image, its end."""


@dataclass(frozen=True)
class ResourceRequest:
    """A job's needs beside the options of all: jobs of equal needs can be in one array.

    Attributes:
        gpus: how many.
        minutes: of time; None where the options say.
        node: the one that it has to run on, or None.
    """

    gpus: int
    minutes: int | None
    node: str | None = None


def need_of(
    config: ExperimentConfig, backend: BackendSpec, options: SlurmOptions, *, node: str | None = None
) -> ResourceRequest:
    """The needs of an experiment.

    Args:
        node: where it has to run.
    """
    minutes = None if options.time is not None else math.ceil((config.limits.timeout_s + START_S) / 60)
    return ResourceRequest(options.gpus if options.gpus is not None else gpus_of(config, backend), minutes, node)


def gpus_of(config: ExperimentConfig, backend: BackendSpec) -> int:
    """Number of GPUs that an experiment takes: what its backend makes of its section; one where that takes all."""
    taken = backend.gpus_of(config.options)
    return 1 if taken is None else taken


def resource_options(options: SlurmOptions, need: ResourceRequest) -> list[str]:
    """The options of sbatch that say where a job goes and what it gets."""
    given: list[tuple[str, object]] = [
        ("partition", options.partition),
        ("account", options.account),
        ("qos", options.qos),
        ("constraint", options.constraint),
        ("nodelist", need.node or options.nodelist),
        ("exclude", options.exclude),
        ("time", options.time or need.minutes),
        ("gres", _gres(options, need.gpus)),
        ("cpus-per-task", options.cpus),
        ("mem", options.mem),
    ]
    words = [f"--{name}={value}" for name, value in given if value is not None]
    if options.exclusive:
        words.append("--exclusive")
    return ["--nodes=1", "--ntasks=1", *words, *options.extra]


def _gres(options: SlurmOptions, gpus: int) -> str | None:
    if not gpus:
        return None
    return f"gpu:{options.gpu_type}:{gpus}" if options.gpu_type else f"gpu:{gpus}"


def array_options(
    options: SlurmOptions, need: ResourceRequest, *, count: int, name: str, comment: str, folder: str
) -> Sequence[str]:
    """All options of an array of so many jobs."""
    throttle = f"%{options.max_running}" if options.max_running is not None else ""
    return [
        "--parsable",
        f"--job-name={name}",
        f"--comment={comment}",
        f"--array=0-{count - 1}{throttle}",
        f"--chdir={folder}",
        f"--output={folder}/%a.log",
        "--open-mode=append",
        "--export=ALL",
        "--requeue" if options.requeues else "--no-requeue",
        *resource_options(options, need),
    ]


def script(options: SlurmOptions, python: str, folder: str) -> str:
    """The script of an array. Its shell becomes the node's side, so that what Slurm asks reaches that and nobody else."""
    lines = ["#!/bin/bash", *options.setup, f"exec {shlex.join([python, '-m', 'llem_slurm.node', folder])}"]
    return "\n".join(lines) + "\n"
