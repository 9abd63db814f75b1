"""The time that a load takes, before anything runs."""

from __future__ import annotations

from collections.abc import Mapping

from llem.plugin_api import Section
from llem_serving.config import LoadConfig
from llem_serving.steadiness.part import IN_A_ROW


def least_s(sections: Mapping[str, Section | None]) -> float:
    """The least time of a run's ramp, wait for a steady state, and window (seconds). The drain may end at once.

    Args:
        sections: of an experiment, `load` among them.
    """
    load = sections["load"]
    assert isinstance(load, LoadConfig)
    steady_s = IN_A_ROW * load.duration_s / load.parts if load.is_tested else 0.0
    return load.ramp_s + steady_s + load.duration_s


def longest_s(load: LoadConfig) -> float:
    """The time that the same takes where a steady state is waited for in vain, with the drain (seconds)."""
    steady_s = max(load.steady_s, IN_A_ROW * load.duration_s / load.parts) if load.is_tested else 0.0
    return load.ramp_s + steady_s + load.duration_s + load.drain_s
