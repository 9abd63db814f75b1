"""llem's own runner holds what `llem_plugin_kit` asks of every runner."""

from __future__ import annotations

from typing import ClassVar

from llem_plugin_kit import RunnerConformance


class TestLocal(RunnerConformance):
    runner = "local"


class TestLocalWithAnInstalledBackend(RunnerConformance):
    runner = "local"
    backend: ClassVar = "testbed"
