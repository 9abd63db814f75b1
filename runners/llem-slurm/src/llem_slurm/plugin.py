"""Registrations of llem-slurm."""

from __future__ import annotations

from collections.abc import Sequence

from llem.plugin_api import API_VERSION, CheckSpec, RunnerSpec, checks_in, hookimpl
from llem_slurm.options import SlurmOptions

RUNNER = "slurm"

CHECKS = (
    ("slurm", "Slurm's commands are here and its controller answers", "check_controller"),
    ("slurm-place", "partition, account, quality of service and features exist, and the time fits", "check_place"),
    ("slurm-gpus", "there are nodes with the GPUs that the experiments ask for", "check_gpus"),
    ("slurm-limits", "what the site lets one user have in the queue", "check_limits"),
    ("slurm-job", "Slurm would take such a job", "check_job"),
    (
        "slurm-node",
        "a node sees the results folder, and has Python, llem and the plugins of the experiments",
        "check_node",
    ),
)


@hookimpl
def llem_runners() -> Sequence[RunnerSpec]:
    """The runner `slurm`, or `slurm:IMAGE`."""
    return [
        RunnerSpec(
            name=RUNNER,
            api_version=API_VERSION,
            summary="job arrays of a Slurm cluster, an element for each experiment",
            runner="llem_slurm.runner:SlurmRunner",
            location="elsewhere",
            argument="IMAGE",
            install="pip install llem-slurm",
            options=SlurmOptions,
            placements=frozenset({"same_node", "spread"}),
            reclaim="llem_slurm.reclaim:reclaim",
        )
    ]


@hookimpl
def llem_preflight_checks() -> Sequence[CheckSpec]:
    """Checks that must pass before the first job of a study is submitted; each can be left out by its name."""
    return checks_in("llem_slurm.checks", CHECKS, api_version=API_VERSION, runners=frozenset({RUNNER}))
