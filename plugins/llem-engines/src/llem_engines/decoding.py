"""From a study's words on decoding to those that engines share. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llem.plugin_api import ConfigError, DecodingConfig, ExperimentConfig, Section
from llem_engines.section import given


def sampling_arguments(options: Section, decoding: DecodingConfig) -> dict[str, Any]:
    """Keywords of SamplingParams that every request shares: of the section `decoding`, and below it those of the options."""
    greedy = decoding.temperature is None
    shared: dict[str, Any] = {"temperature": 0.0 if greedy else decoding.temperature}
    for name in ("top_k", "top_p", "min_p", "repetition_penalty"):
        if (value := getattr(decoding, name)) is not None:
            shared[name] = value
    return {**shared, **given(options).get("sampling", {})}


def check_lengths(config: ExperimentConfig, ending: Sequence[str]) -> None:
    """Raise ConfigError where an option would end answers early although their length is fixed.

    Args:
        config: the experiment.
        ending: options below `sampling` that end answers.
    """
    sampling = getattr(config.options, "sampling", None)
    found = [name for name in ending if getattr(sampling, name, None)]
    if found and config.decoding.length == "fixed":
        raise ConfigError(
            f"`{config.backend}.sampling.{found[0]}` ends answers early, and `decoding.length` is fixed.",
            remedy="Say decoding.length: natural, or leave the stop words out.",
        )
