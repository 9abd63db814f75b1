"""From a study's words to vLLM's: what EngineArgs and SamplingParams are made with. Pure functions; nothing of vLLM is imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llem.plugin_api import DecodingConfig, ExperimentConfig, Section
from llem_engines import decoding as shared
from llem_engines.loading import path_or_name
from llem_engines.section import given
from llem_vllm.config import APART


def engine_arguments(options: Section, decoding: DecodingConfig) -> dict[str, Any]:
    """Keywords of EngineArgs that the section and the decoding give; the model's come from `loading`.

    Options at their default are left to vLLM, which decides many of them by model and platform.
    """
    found = given(options, APART)
    found["seed"] = decoding.seed
    # llem counts by itself, and reads what vLLM counts; vLLM's log lines about requests say nothing more.
    found.setdefault("disable_log_stats", False)
    return found


def completed(arguments: Mapping[str, Any], options: Section, base_dir: str) -> dict[str, Any]:
    """The keywords with what llem settles: paths below the study's folder, and its own questions to the workers."""
    found = dict(arguments)
    if getattr(options, "lora_adapter", None) is not None:
        found["enable_lora"] = True
    speculative = found.get("speculative_config")
    if speculative and speculative.get("model"):
        found["speculative_config"] = {**speculative, "model": path_or_name(speculative["model"], base_dir)}
    found["worker_extension_cls"] = "llem_vllm.worker_extension.WorkerExtension"
    return found


QUIET = {"VLLM_NO_USAGE_STATS": "1", "VLLM_DO_NOT_TRACK": "1"}
"""vLLM reports its use to its makers unless told otherwise: traffic and work that no measurement asked for."""


def environment_variables(options: Section) -> dict[str, str]:
    """Variables that the worker sets before vLLM is imported, as text."""
    return QUIET | {name: _text(value) for name, value in given(options).get("environment", {}).items()}


def sampling_arguments(options: Section, decoding: DecodingConfig) -> dict[str, Any]:
    """Keywords of SamplingParams that every request shares."""
    found = shared.sampling_arguments(options, decoding)
    # Text is made of tokens after the window; only a stop string needs it while tokens come.
    return {"detokenize": bool(found.get("stop")), **found}


def check_lengths(config: ExperimentConfig) -> None:
    """Raise ConfigError where an option would end answers early although their length is fixed."""
    shared.check_lengths(config, ("stop", "stop_token_ids"))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, list):
        return ",".join(str(item) for item in value)
    return "" if value is None else str(value)
