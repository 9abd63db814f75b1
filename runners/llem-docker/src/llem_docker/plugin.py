"""Registrations of llem-docker. Importing this does not import the docker SDK."""

from __future__ import annotations

from collections.abc import Sequence

from llem.plugin_api import API_VERSION, CheckSpec, RunnerSpec, checks_in, hookimpl
from llem_docker.options import DockerOptions

RUNNER = "docker"

CHECKS = (
    ("engine", "the Docker engine is installed, runs, and may be used by this user", "check_engine"),
    ("docker-space", "there is room for images and for what containers write", "check_space"),
    ("image", "each image is here or can be pulled, and holds what its backend needs", "check_image"),
    ("image-version", "llem in the image fits llem here", "check_version"),
    ("toolkit", "NVIDIA's container toolkit gives containers the GPUs", "check_toolkit"),
    ("gpu-inside", "nvidia-smi in the very image sees the GPUs that the experiments use", "check_gpu_inside"),
    ("cuda", "CUDA in the image fits the driver", "check_cuda"),
    ("shm", "containers get the shared memory that they are to have", "check_shm"),
    ("leftovers", "no container of an llem that is gone is left", "check_leftovers"),
)


@hookimpl
def llem_runners() -> Sequence[RunnerSpec]:
    """The runner `docker`, or `docker:IMAGE`."""
    return [
        RunnerSpec(
            name=RUNNER,
            api_version=API_VERSION,
            summary="an ephemeral Docker container for each experiment",
            runner="llem_docker.runner:DockerRunner",
            reclaim="llem_docker.leftovers:reclaim",
            placements=frozenset({"same_node"}),
            location="container",
            argument="IMAGE",
            options=DockerOptions,
            requires=("docker",),
            install="pip install llem-docker",
        )
    ]


@hookimpl
def llem_preflight_checks() -> Sequence[CheckSpec]:
    """Checks that must pass before the first container of a study starts; each can be left out by its name."""
    return checks_in("llem_docker.checks", CHECKS, api_version=API_VERSION, runners=frozenset({RUNNER}))
