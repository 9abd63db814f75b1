"""llem's own runner holds what `llem_plugin_kit` asks of every runner."""

from __future__ import annotations

from typing import ClassVar

import pytest

from llem_plugin_kit import RunnerConformance

pytestmark = pytest.mark.process


class TestLocal(RunnerConformance):
    runner = "local"


class TestLocalWithAnInstalledBackend(RunnerConformance):
    runner = "local"
    backend: ClassVar = "testbed"
