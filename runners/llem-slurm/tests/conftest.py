"""The cluster for the session, and studies on it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from load_elsewhere import with_loadbed
from slurm_cluster import Cluster, Study, why_not


@pytest.fixture(scope="session")
def _cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if (reason := why_not()) is not None:
        pytest.skip(f"needs a Slurm cluster: {reason}")
    folder = tmp_path_factory.mktemp("cluster", numbered=True)
    for above in (folder, *folder.parents[:2]):
        above.chmod(0o755)
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    cluster = Cluster(folder, {**with_loadbed(), "SLURM_CONF": str(folder / "slurm.conf"), "PATH": path})
    try:
        cluster.script("start")
        yield cluster
    finally:
        cluster.script("stop")


@pytest.fixture
def cluster(_cluster: Cluster) -> Iterator[Cluster]:
    """The cluster, with nothing on it before and after."""
    _cluster.settle()
    yield _cluster
    _cluster.settle()


@pytest.fixture
def study(cluster: Cluster, tmp_path: Path) -> Callable[..., Study]:
    """Takes Slurm's options and a sweep, returns a study of short experiments. Their checks are skipped but for those named."""

    def make(
        options: Mapping[str, object],
        sweep: Mapping[str, object],
        *,
        name: str = "many",
        window_s: float = 1.0,
        **sections: object,
    ) -> Study:
        document = {
            "name": name,
            "model": "random:tiny-llama",
            "backend": "testbed",
            "runners": {"testbed": "slurm"},
            "runner_options": {
                "slurm": {"mem": "300M", "time": "0:30:00", "gpus": 0, "probe_s": 0, "poll_s": 1, **options}
            },
            "dataset": {"name": "synthetic", "n": 2, "input_tokens": 8, "output_tokens": 4},
            "warmup": {"enabled": False},
            "baseline": {"enabled": False},
            "measurement": {"min_window_s": window_s, "settle_s": 0},
            "sweep": sweep,
            **sections,
        }
        folder = tmp_path / name
        (folder / "results").mkdir(parents=True)
        for above in (folder, *folder.parents[:3]):
            above.chmod(0o755)
        file = folder / "study.yaml"
        file.write_text(json.dumps(document))
        return Study(cluster, file, folder / "results")

    return make
