"""The check `models` holds what `llem_plugin_kit` asks of every check."""

from __future__ import annotations

from pathlib import Path

import pytest

from llem.config.compose import Composer
from llem.plugins import default_registry
from llem.specs.check import PreflightContext
from llem.specs.kinds import BACKENDS, SCENARIOS
from llem_plugin_kit import CheckConformance

pytestmark = pytest.mark.process


class TestModels(CheckConformance):
    check = "models"

    @pytest.fixture
    def trouble(self, tmp_path: Path) -> PreflightContext:
        registry = default_registry()
        config = Composer(registry[BACKENDS], registry[SCENARIOS]).compose({"model": "./nowhere", "backend": "testbed"})
        return PreflightContext(
            registry=registry, experiments=[config], runners={"testbed": "local"}, base_dir=tmp_path, planned=1
        )
