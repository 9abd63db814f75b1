"""The runner holds what `llem_plugin_kit` asks of every runner."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import ClassVar

import docker
import pytest

from llem.plugins import default_registry
from llem.specs.runner import RunnerContext
from llem_plugin_kit import RunnerConformance

pytestmark = pytest.mark.docker


class TestDocker(RunnerConformance):
    runner = "docker"
    argument: ClassVar = "llem-test-bed"
    backend: ClassVar = "testbed"

    @pytest.fixture
    def context(self, bed: str) -> RunnerContext:
        return RunnerContext(registry=default_registry(), argument=bed, study_id="conformance", backend="testbed")

    def left_behind(self, directory: Path) -> Sequence[int]:
        """Pids are those of a container; it is the job's container that must be gone."""
        with closing(docker.from_env()) as client:
            found = client.api.containers(all=True, filters={"label": f"llem.job={directory}"})
        return list(range(len(found)))
