"""Conformance tests for plugin authors: subclass, name your spec, run pytest.

from llem.testing import BackendConformance

class TestMyBackend(BackendConformance):
    backend = "mybackend"
    model = "random:tiny-llama"
"""

from __future__ import annotations

from llem.testing.backend import BackendConformance

__all__ = ["BackendConformance"]
