"""All that plugins import of llem's core.

What stands here is public and kept: `API_VERSION` rises where it breaks. docs/reference/plugin-api.md says what each name is. Names are
imported on first use, so that registering stays light; `plugin_api.pyi` tells type checkers the same names.

    from llem.plugin_api import API_VERSION, SamplerSpec, hookimpl
"""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path
from typing import Any

TOPICS: dict[str, dict[str, str]] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
"""The names by topic and by the module where each lives."""

_HOME = {name: module for modules in TOPICS.values() for module, names in modules.items() for name in names.split()}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(_HOME[name])
    value = getattr(module, name) if hasattr(module, name) else importlib.import_module(f"{_HOME[name]}.{name}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
