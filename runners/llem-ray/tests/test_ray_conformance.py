"""The runner holds what `llem_plugin_kit` asks of every runner, on a real cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import psutil
import pytest
from ray_bed import Bed

from llem.plugins import default_registry
from llem.specs.runner import Job, RunnerContext
from llem_plugin_kit import RunnerConformance
from llem_plugin_kit.engine import MARK
from llem_plugin_kit.runner import Start
from llem_ray.options import RayOptions

pytestmark = [pytest.mark.ray, pytest.mark.timeout(400)]


class TestRay(RunnerConformance):
    runner = "ray"
    backend: ClassVar = "testbed"  # the nodes have an environment of their own

    @pytest.fixture
    def context(self, bed: Bed, tmp_path: Path) -> RunnerContext:
        return RunnerContext(
            registry=default_registry(),
            study_id="conformance",
            study_dir=tmp_path,
            backend=self.backend,
            options=RayOptions(address=bed.address),
        )

    def job(self, directory: Path, fail: str, environment: Mapping[str, str]) -> Job:
        return super().job(directory, fail, {MARK: str(directory), **environment})

    def left_behind(self, directory: Path) -> Sequence[int]:
        """Also what the worker's log does not name: whatever a job started has its mark."""
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
