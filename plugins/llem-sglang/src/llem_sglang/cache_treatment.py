"""The treatment of the radix cache, in words for the result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llem.plugin_api import ExperimentConfig
from llem_engines.passes import MADE_BY
from llem_sglang.config import keeps_cache


def radix_cache(config: ExperimentConfig, effective: Mapping[str, Any]) -> str:
    """A phrase for what becomes of the cache between requests."""
    if effective.get("disable_radix_cache"):
        return "off"
    if config.measurement.scenario not in MADE_BY:
        return "kept, as a server keeps it"
    return "kept between passes" if keeps_cache(config.options) else "emptied between passes"
