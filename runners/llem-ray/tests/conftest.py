"""A real Ray cluster on this machine, nodes that join and die, and `llem run` on it."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from load_elsewhere import with_loadbed
from ray_bed import OBJECT_STORE, Bed, Runs, wait_until


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked `ray` say why they cannot run here."""
    if item.get_closest_marker("ray") is not None:
        try:
            import ray  # noqa: F401
        except Exception as error:  # noqa: BLE001 - importing it looks for accelerators, which may fail in any way
            pytest.skip(f"needs Ray: {type(error).__name__}: {error}")


@pytest.fixture(scope="session")
def bed() -> Iterator[Bed]:
    """The cluster."""
    from ray.cluster_utils import Cluster

    # A socket's path must be short.
    home = Path(tempfile.mkdtemp(prefix="r-", dir="/tmp"))
    environment = {"RAY_USAGE_STATS_ENABLED": "0", "TMPDIR": str(home), "PYTHONPATH": with_loadbed()["PYTHONPATH"]}
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    head = {"num_cpus": 2, "object_store_memory": OBJECT_STORE, "include_dashboard": False, "node_name": "north"}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    yield Bed(cluster, home)
    cluster.shutdown()
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def node(bed: Bed) -> Iterator[Callable[..., Any]]:
    """Takes a name and Ray's arguments, returns a further node; those that still live are taken away afterwards."""
    added: list[Any] = []

    def add(name: str, **arguments: Any) -> Any:
        added.append(bed.add(name, **arguments))
        return added[-1]

    yield add
    for one in added:
        if one in bed.cluster.worker_nodes:
            bed.cluster.remove_node(one, allow_graceful=True)


@pytest.fixture
def runs(bed: Bed, tmp_path: Path) -> Iterator[Runs]:
    """`llem run` on the cluster; afterwards nothing of an experiment may be left on any node."""
    made = Runs(bed, tmp_path)
    yield made
    for process in made.begun:
        if process.poll() is None:
            process.kill()
            process.communicate()
    wait_until(lambda: not bed.left(), what=lambda: f"left: {bed.left()}")
