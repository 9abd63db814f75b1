"""The unit of `load.rate_rps`: of conversations the rate is theirs, and each brings several requests."""

from __future__ import annotations

from llem.plugin_api import ExperimentConfig

OF_REQUESTS, OF_CONVERSATIONS = "requests/s", "conversations/s"


def rate_unit(config: ExperimentConfig) -> str:
    """The unit of an experiment's rate."""
    return OF_CONVERSATIONS if config.dataset.name == "conversations" else OF_REQUESTS
