"""From a study's words to SGLang's: what ServerArgs and SamplingParams are made with. Pure functions; nothing of SGLang is imported."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from llem.plugin_api import ConfigError, DecodingConfig, ExperimentConfig, Section
from llem_sglang.config import GROUPS_APART, OWN, given, keeps_cache
from llem_sglang.passes import MADE_BY

_ENDING = ("stop", "stop_token_ids", "stop_regex")
_OF_TEXT = ("stop", "stop_regex", "min_new_tokens")


def engine_arguments(options: Section, decoding: DecodingConfig) -> dict[str, Any]:
    """Keywords of ServerArgs that the section and the decoding give; the model's come from `loading`.

    Options at their default are left to SGLang, which decides many of them by model and platform.
    """
    found = {name: value for name, value in given(options).items() if name not in GROUPS_APART and name not in OWN}
    found["random_seed"] = decoding.seed
    # Each output holds what is new, and not all that came before it once more.
    found["incremental_streaming_output"] = True
    found.setdefault("log_level", "warning")
    return found


def environment(options: Section) -> dict[str, str]:
    """Variables of SGLang's process: those of the worker, and what SGLang wants to be told before it is imported."""
    found = dict(os.environ)
    if getattr(options, "device", None) == "cpu":
        found["SGLANG_USE_CPU_ENGINE"] = "1"
    return found


def sampling_arguments(options: Section, decoding: DecodingConfig) -> dict[str, Any]:
    """Keywords of SamplingParams that every request shares."""
    greedy = decoding.temperature is None
    shared: dict[str, Any] = {"temperature": 0.0 if greedy else decoding.temperature}
    for name in ("top_k", "top_p", "min_p", "repetition_penalty"):
        if (value := getattr(decoding, name)) is not None:
            shared[name] = value
    own: Mapping[str, Any] = given(options).get("sampling", {})
    return {**shared, **own}


def needs_text(options: Section) -> bool:
    """True where SGLang needs the tokenizer itself: to find stop words in text, which it makes of tokens while they come, or to forbid
    the end for a while. Else text is made after the window."""
    sampling = getattr(options, "sampling", None)
    return any(getattr(sampling, name, None) for name in _OF_TEXT)


def check_options(config: ExperimentConfig) -> None:
    """Raise ConfigError where options contradict one another, or the rest of the experiment."""
    options, scenario = config.options, config.measurement.scenario
    sampling = getattr(options, "sampling", None)
    ending = [name for name in _ENDING if getattr(sampling, name, None)]
    if ending and config.decoding.length == "fixed":
        raise ConfigError(
            f"`sglang.sampling.{ending[0]}` ends answers early, and `decoding.length` is fixed.",
            remedy="Say decoding.length: natural, or leave the stop words out.",
        )
    if needs_text(options) and config.model.source.startswith("random:") and config.model.tokenizer is None:
        raise ConfigError(
            "`sglang.sampling` asks for stop words or a least length, and a random: model has no tokenizer to know them by.",
            remedy="Name a tokenizer in model.tokenizer, or say sglang.sampling.stop_token_ids.",
        )
    if keeps_cache(options) and scenario not in MADE_BY:
        raise ConfigError(
            f"`sglang.keep_cache` is about passes over the dataset, and the scenario {scenario} has none.",
            remedy="Leave it out: under load the radix cache is always kept, as a server keeps it.",
        )
    if keeps_cache(options) and getattr(options, "disable_radix_cache", None):
        raise ConfigError(
            "`sglang.keep_cache` keeps the radix cache, and `sglang.disable_radix_cache` switches it off.",
            remedy="Leave one of them out.",
        )
