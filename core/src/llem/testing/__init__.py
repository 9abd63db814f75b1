"""Conformance tests for plugin authors: subclass, name your spec, run pytest.

from llem.testing import BackendConformance

class TestMyBackend(BackendConformance):
    backend = "mybackend"
    model = "random:tiny-llama"

There is a suite for each kind of plugin: `BackendConformance`, `RunnerConformance`, `SamplerConformance` and
`CheckConformance`. Each checks the contract, that registering stays light, that nothing is invented, and that failure
and shutdown leave nothing behind.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llem.testing.backend import BackendConformance
    from llem.testing.check import CheckConformance
    from llem.testing.runner import RunnerConformance
    from llem.testing.sampler import SamplerConformance

__all__ = ["BackendConformance", "CheckConformance", "RunnerConformance", "SamplerConformance"]

_SUITES = {
    "BackendConformance": "llem.testing.backend",
    "CheckConformance": "llem.testing.check",
    "RunnerConformance": "llem.testing.runner",
    "SamplerConformance": "llem.testing.sampler",
}


def __getattr__(name: str) -> Any:
    """Import a suite when it is asked for: pytest loads this package in every run, whatever it tests."""
    if name not in _SUITES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_SUITES[name]), name)
