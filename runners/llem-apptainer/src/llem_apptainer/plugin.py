"""Registrations of llem-apptainer."""

from __future__ import annotations

from collections.abc import Sequence

from llem.plugin_api import API_VERSION, CheckSpec, RunnerSpec, checks_in, hookimpl
from llem_apptainer.options import ApptainerOptions

RUNNER = "apptainer"

CHECKS = (
    ("apptainer", "Apptainer is installed, and new enough", "check_program"),
    ("apptainer-rights", "this user may start containers: setuid or user namespaces", "check_rights"),
    ("apptainer-space", "there is room for images and for what containers write", "check_space"),
    ("apptainer-image", "each image is here or can be made, starts, and holds what its backend needs", "check_image"),
    ("apptainer-version", "llem in the image fits llem here", "check_version"),
    ("apptainer-gpu-inside", "nvidia-smi in the very image sees the GPUs that the experiments use", "check_gpu_inside"),
    ("apptainer-cuda", "CUDA in the image fits the driver", "check_cuda"),
)


@hookimpl
def llem_runners() -> Sequence[RunnerSpec]:
    """The runner `apptainer`, or `apptainer:IMAGE`."""
    return [
        RunnerSpec(
            name=RUNNER,
            api_version=API_VERSION,
            summary="an ephemeral Apptainer container for each experiment",
            runner="llem_apptainer.runner:ApptainerRunner",
            reclaim="llem_apptainer.leftovers:reclaim",
            placements=frozenset({"same_node"}),
            location="container",
            argument="IMAGE",
            options=ApptainerOptions,
            install="pip install llem-apptainer",
        )
    ]


@hookimpl
def llem_preflight_checks() -> Sequence[CheckSpec]:
    """Checks that must pass before the first container of a study starts; each can be left out by its name."""
    return checks_in("llem_apptainer.checks", CHECKS, api_version=API_VERSION, runners=frozenset({RUNNER}))
