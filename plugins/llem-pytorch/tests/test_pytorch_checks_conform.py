"""The checks hold what `llem_plugin_kit` asks of every check, each in the trouble that it is there for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pytorch_lab import SERVED

from llem.config.compose import Composer
from llem.plugins import default_registry
from llem.specs.check import PreflightContext
from llem.specs.kinds import BACKENDS, SCENARIOS
from llem_plugin_kit import CheckConformance

pytestmark = pytest.mark.engine


def planned(base_dir: Path, sections: Mapping[str, Any] | None = None, **options: Any) -> PreflightContext:
    document = {"model": "random:tiny-llama", "backend": "pytorch", "pytorch": options, **(sections or {})}
    config = Composer(default_registry()[BACKENDS], default_registry()[SCENARIOS]).compose(document)
    return PreflightContext(
        registry=default_registry(), experiments=[config], runners={"pytorch": "local"}, base_dir=base_dir, planned=1
    )


class TestPackages(CheckConformance):
    check = "pytorch-packages"

    @pytest.fixture
    def trouble(self, tmp_path: Path) -> PreflightContext:
        return planned(tmp_path, quantization={"method": "loaded"})  # of random weights


class TestDevices(CheckConformance):
    check = "pytorch-devices"

    @pytest.fixture
    def trouble(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PreflightContext:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
        return planned(tmp_path, device="cuda")


class TestServing(CheckConformance):
    check = "pytorch-serving"

    @pytest.fixture
    def trouble(self, tmp_path: Path) -> PreflightContext:
        return planned(tmp_path, SERVED, batching="sorted")
