"""The treatment of the radix cache, in words for the result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llem.plugin_api import ExperimentConfig
from llem_engines.passes import treatment
from llem_sglang.config import keeps_cache


def radix_cache(config: ExperimentConfig, effective: Mapping[str, Any]) -> str:
    """A phrase for what becomes of the cache between requests."""
    is_off = bool(effective.get("disable_radix_cache"))
    return treatment(config, is_off=is_off, is_kept=keeps_cache(config.options))
