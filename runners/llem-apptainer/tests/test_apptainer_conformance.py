"""The runner holds what `llem_plugin_kit` asks of every runner."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from llem.plugins import default_registry
from llem.specs.runner import RunnerContext
from llem_plugin_kit import RunnerConformance

pytestmark = pytest.mark.apptainer


class TestApptainer(RunnerConformance):
    runner = "apptainer"
    argument: ClassVar = "IMAGE"
    backend: ClassVar = "testbed"

    @pytest.fixture
    def context(self, sif: Path) -> RunnerContext:
        return RunnerContext(registry=default_registry(), argument=str(sif), study_id="conformance", backend="testbed")

    def left_behind(self, directory: Path) -> Sequence[int]:
        """Pids in the log are those of a container; it is whatever has the job's log or exchange folder open that must be gone."""
        return holding(directory)


def holding(directory: Path) -> list[int]:
    """Processes of this machine with an open file below a folder, this one left out."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            targets = [os.readlink(fd) for fd in (entry / "fd").iterdir()]  # noqa: PTH115 - the text, not the file
        except OSError:
            continue
        if any(target.startswith(f"{directory}/") for target in targets):
            found.append(int(entry.name))
    return found
