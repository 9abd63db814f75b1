"""From a study's words to SGLang's: what ServerArgs and SamplingParams are made with. Pure functions; nothing of SGLang is imported."""

from __future__ import annotations

import os
from typing import Any

from llem.plugin_api import ConfigError, DecodingConfig, ExperimentConfig, Section
from llem_engines.decoding import check_lengths
from llem_engines.passes import has_passes
from llem_engines.section import given
from llem_sglang.config import APART, keeps_cache

_ENDING = ("stop", "stop_token_ids", "stop_regex")
_OF_TEXT = ("stop", "stop_regex", "min_new_tokens")


def engine_arguments(options: Section, decoding: DecodingConfig) -> dict[str, Any]:
    """Keywords of ServerArgs that the section and the decoding give; the model's come from `loading`.

    Options at their default are left to SGLang, which decides many of them by model and platform.
    """
    found = given(options, APART)
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


def needs_text(options: Section) -> bool:
    """True where SGLang needs the tokenizer itself: to find stop words in text, which it makes of tokens while they come, or to forbid
    the end for a while. Else text is made after the window."""
    sampling = getattr(options, "sampling", None)
    return any(getattr(sampling, name, None) for name in _OF_TEXT)


def check_options(config: ExperimentConfig) -> None:
    """Raise ConfigError where options contradict one another, or the rest of the experiment."""
    options = config.options
    check_lengths(config, _ENDING)
    if needs_text(options) and config.model.source.startswith("random:") and config.model.tokenizer is None:
        raise ConfigError(
            "`sglang.sampling` asks for stop words or a least length, and a random: model has no tokenizer to know them by.",
            remedy="Name a tokenizer in model.tokenizer, or say sglang.sampling.stop_token_ids.",
        )
    if keeps_cache(options) and not has_passes(config):
        raise ConfigError(
            f"`sglang.keep_cache` is about passes over the dataset, and the scenario {config.measurement.scenario} has none.",
            remedy="Leave it out: under load the radix cache is always kept, as a server keeps it.",
        )
    if keeps_cache(options) and getattr(options, "disable_radix_cache", None):
        raise ConfigError(
            "`sglang.keep_cache` keeps the radix cache, and `sglang.disable_radix_cache` switches it off.",
            remedy="Leave one of them out.",
        )
