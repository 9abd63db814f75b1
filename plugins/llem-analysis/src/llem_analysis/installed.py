"""The plugins of this environment: analyses are called from notebooks too, where no context carries the registry."""

from __future__ import annotations

from llem.plugin_api import Registry, default_registry


def registry() -> Registry:
    """The registry that the command line and the library have."""
    return default_registry()
