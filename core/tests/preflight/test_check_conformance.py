"""llem's own checks hold what `llem_plugin_kit` asks of every check, each in the trouble that it is there for."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llem.accelerators.asking import Answer
from llem.builtin import llem_preflight_checks
from llem.config.compose import Composer
from llem.plugins import default_registry
from llem.preflight import checks, devices
from llem.specs.accelerator import Accelerator, AcceleratorSpec
from llem.specs.check import PreflightContext
from llem.specs.kinds import ACCELERATORS, BACKENDS, SCENARIOS
from llem_plugin_kit import CheckConformance

pytestmark = pytest.mark.process
NVML: AcceleratorSpec = default_registry()[ACCELERATORS]["nvml"]


def planned(base_dir: Path, output: Path | None = None, **sections: Any) -> PreflightContext:
    """A study of one experiment on the testbed."""
    document = {"model": "random:tiny-llama", "backend": "testbed", **sections}
    config = Composer(default_registry()[BACKENDS], default_registry()[SCENARIOS]).compose(document)
    return PreflightContext(
        registry=default_registry(),
        experiments=[config],
        runners={"testbed": "local"},
        base_dir=base_dir,
        output=output,
        planned=1,
    )


class TestMeters(CheckConformance):
    check = "meters"

    @pytest.fixture
    def trouble(self, tmp_path: Path) -> PreflightContext:
        return planned(tmp_path, measurement={"samplers": ["amd"]})


class TestOutput(CheckConformance):
    check = "output"

    @pytest.fixture
    def trouble(self, tmp_path: Path) -> PreflightContext:
        (tmp_path / "results").write_text("a file in the way")
        return planned(tmp_path, output=tmp_path / "results")


class TestOutputThatIsFine(CheckConformance):
    """It tries the folder by writing there, and leaves nothing."""

    check = "output"

    @pytest.fixture
    def trouble(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PreflightContext:
        monkeypatch.setattr(checks, "BYTES_PER_EXPERIMENT", 2**60)
        (tmp_path / "results").mkdir()
        return planned(tmp_path, output=tmp_path / "results")


class TestAccelerators(CheckConformance):
    check = "accelerators"

    @pytest.fixture
    def trouble(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PreflightContext:
        monkeypatch.setattr(devices, "ask", lambda _: [Answer(NVML, trouble="RuntimeError: the driver hangs")])
        return planned(tmp_path)


class TestDatasets(CheckConformance):
    check = "datasets"

    @pytest.fixture
    def trouble(self, tmp_path: Path) -> PreflightContext:
        return planned(tmp_path, dataset={"name": "jsonl", "path": "nowhere.jsonl"})


class TestRequirements(CheckConformance):
    check = "requirements"

    @pytest.fixture
    def trouble(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PreflightContext:
        monkeypatch.setattr(checks, "missing_requirements", lambda _: ["a_package_of_nobody"])
        return planned(tmp_path)


class TestGovernor(CheckConformance):
    check = "governor"

    @pytest.fixture
    def trouble(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PreflightContext:
        folder = tmp_path / "sys/devices/system/cpu/cpu0/cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_governor").write_text("powersave\n")
        monkeypatch.setattr(checks, "ROOT", tmp_path)
        return planned(tmp_path)


class TestLoad(CheckConformance):
    check = "load"

    @pytest.fixture
    def trouble(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PreflightContext:
        monkeypatch.setattr(os, "getloadavg", lambda: (64.0, 64.0, 64.0))
        return planned(tmp_path)


class TestParallel(CheckConformance):
    check = "parallel"

    @pytest.fixture
    def trouble(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PreflightContext:
        monkeypatch.setattr(devices, "ask", lambda _: [Answer(NVML, [Accelerator(id="GPU-1", kind="gpu")])])
        return replace(planned(tmp_path), parallel="by_gpu")


def test_every_check_of_llem_itself_is_held_to_it() -> None:
    here = {kept.check for kept in globals().values() if isinstance(kept, type) and hasattr(kept, "check")}
    assert here == {spec.name for spec in llem_preflight_checks()}
