"""Conformance tests for plugin authors: subclass, name your spec, run pytest.

from llem_plugin_kit import BackendConformance

class TestMyBackend(BackendConformance):
    backend = "mybackend"
    model = "random:tiny-llama"

There is a suite for each kind of plugin: `BackendConformance`, `RunnerConformance`, `SamplerConformance` and
`CheckConformance`. Each checks the contract, that registering stays light, that nothing is invented, and that failure
and shutdown leave nothing behind. `installed()` is the registry of this environment, for contexts that a test makes.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llem_plugin_kit.backend import BackendConformance
    from llem_plugin_kit.check import CheckConformance
    from llem_plugin_kit.registering import installed
    from llem_plugin_kit.runner import RunnerConformance
    from llem_plugin_kit.sampler import SamplerConformance

__all__ = ["BackendConformance", "CheckConformance", "RunnerConformance", "SamplerConformance", "installed"]

_HOME = {
    "BackendConformance": "llem_plugin_kit.backend",
    "CheckConformance": "llem_plugin_kit.check",
    "RunnerConformance": "llem_plugin_kit.runner",
    "SamplerConformance": "llem_plugin_kit.sampler",
    "installed": "llem_plugin_kit.registering",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is asked for: pytest loads this package in every run, whatever it tests."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
