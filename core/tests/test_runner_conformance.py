"""llem's own runner holds what `llem.testing` asks of every runner."""

from __future__ import annotations

from typing import ClassVar

from llem.testing import RunnerConformance


class TestLocal(RunnerConformance):
    runner = "local"


class TestLocalWithAnInstalledBackend(RunnerConformance):
    runner = "local"
    backend: ClassVar = "testbed"
