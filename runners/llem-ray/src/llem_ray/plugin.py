"""Registrations of llem-ray. Importing this does not import Ray."""

from __future__ import annotations

from collections.abc import Sequence

from llem.plugin_api import API_VERSION, CheckSpec, RunnerSpec, checks_in, hookimpl
from llem_ray.options import RayOptions

RUNNER = "ray"

CHECKS = (
    ("ray-cluster", "a Ray cluster answers, with the versions of Ray and Python that are here", "check_cluster"),
    ("ray-nodes", "some node has the CPUs, GPUs, resources and labels that each experiment asks for", "check_nodes"),
    (
        "ray-packages",
        "llem, the backends and the plugins of scenario, dataset and sampler are on the nodes, llem in the same version",
        "check_packages",
    ),
    ("ray-files", "models, datasets and the storage are found on the nodes as they are here", "check_files"),
)


@hookimpl
def llem_runners() -> Sequence[RunnerSpec]:
    """The runner `ray`."""
    return [
        RunnerSpec(
            name=RUNNER,
            api_version=API_VERSION,
            summary="a task on a Ray cluster for each experiment",
            runner="llem_ray.runner:RayRunner",
            location="elsewhere",
            requires=("ray",),
            install="pip install llem-ray",
            placements=frozenset({"same_node", "spread"}),
            options=RayOptions,
        )
    ]


@hookimpl
def llem_preflight_checks() -> Sequence[CheckSpec]:
    """Checks that must pass before the first experiment goes to the cluster; each can be left out by its name."""
    return checks_in("llem_ray.checks", CHECKS, api_version=API_VERSION, runners=frozenset({RUNNER}))
