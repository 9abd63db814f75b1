"""The runner and a check hold what `llem.testing` asks of all of their kind, on a real cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import psutil
import pytest
from slurm_cluster import Cluster

from llem.config.compose import Composer
from llem.plugins import default_registry
from llem.specs.check import PreflightContext
from llem.specs.runner import Job
from llem.testing import CheckConformance, RunnerConformance
from llem.testing.engine import MARK
from llem.testing.runner import Start
from llem_slurm.options import SlurmOptions

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]


@pytest.fixture(autouse=True)
def on_the_cluster(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLURM_CONF", "PATH"):
        monkeypatch.setenv(name, cluster.environment[name])


class TestSlurm(RunnerConformance):
    runner = "slurm"
    options: ClassVar = {"mem": "300M", "time": "0:30:00", "gpus": 0, "probe_s": 0, "poll_s": 1, "file_delay_s": 5}
    backend: ClassVar = "testbed"  # the nodes have an environment of their own

    def job(self, directory: Path, fail: str, environment: Mapping[str, str]) -> Job:
        return super().job(directory, fail, {MARK: str(directory), **environment})

    def left_behind(self, directory: Path) -> Sequence[int]:
        """The nodes' pids are others here: what a job started has its mark."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == str(directory) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process.pid)
            except psutil.Error:
                continue
        return found

    def test_what_runs_on_a_node_is_seen_here(self, start: Start) -> None:
        job, directory = start("orphan")
        self._await(directory, "orphan pid")
        assert len(self.left_behind(directory)) >= 2
        job.stop(0)


class TestPlace(CheckConformance):
    check = "slurm-place"

    @pytest.fixture
    def trouble(self, tmp_path: Path) -> PreflightContext:
        config = Composer(default_registry().backends).compose({"model": "random:tiny-llama", "backend": "testbed"})
        return PreflightContext(
            experiments=[config],
            runners={"testbed": "slurm"},
            base_dir=tmp_path,
            runner_options={"slurm": SlurmOptions(partition="gone")},
        )
