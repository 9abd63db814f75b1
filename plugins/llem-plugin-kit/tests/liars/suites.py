"""The suites on each liar, one class for each. Not collected by itself: `test_conformance_catches_lies` runs it in a process
of its own, where the liars are installed."""

from __future__ import annotations

from pathlib import Path

import lies
import pytest

from llem.plugins import default_registry
from llem.specs.check import PreflightContext
from llem_plugin_kit import BackendConformance, CheckConformance, RunnerConformance, SamplerConformance, processes

pytestmark = pytest.mark.process

processes.LINGER_S = 2.0  # what these leave behind does not end by itself


class Troubled(CheckConformance):
    @pytest.fixture
    def trouble(self, tmp_path: Path) -> PreflightContext:
        (tmp_path / "trouble").touch()
        return PreflightContext(registry=default_registry(), base_dir=tmp_path)


def _class(suite: type, kind: str, name: str, **attributes: object) -> None:
    globals()[f"Test_{kind}_{name}"] = type(f"Test_{kind}_{name}", (suite,), attributes)


for _name in lies.BACKENDS:
    _class(BackendConformance, "backend", _name, backend=_name.lower(), model="random:tiny-llama")
for _name in lies.METERS:
    _class(SamplerConformance, "sampler", _name, sampler=_name.lower(), readings=(5, 0.01))
for _name in lies.CHECKS:
    _class(Troubled, "check", _name, check=f"{_name}_check")
for _name in lies.RUNNERS:
    _class(RunnerConformance, "runner", _name, runner=f"{_name.lower()}_runner")
