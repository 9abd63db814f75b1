"""From a study's words to vLLM's: what EngineArgs and SamplingParams are made with. Pure functions; nothing of vLLM is imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llem.plugin_api import ConfigError, DecodingConfig, ExperimentConfig, Section
from llem_vllm.config import GROUPS_APART, OWN, given
from llem_vllm.loading import path_or_name


def engine_arguments(options: Section, decoding: DecodingConfig) -> dict[str, Any]:
    """Keywords of EngineArgs that the section and the decoding give; the model's come from `loading`.

    Options at their default are left to vLLM, which decides many of them by model and platform.
    """
    found = {name: value for name, value in given(options).items() if name not in GROUPS_APART and name not in OWN}
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
    greedy = decoding.temperature is None
    shared: dict[str, Any] = {"temperature": 0.0 if greedy else decoding.temperature}
    for name in ("top_k", "top_p", "min_p", "repetition_penalty"):
        if (value := getattr(decoding, name)) is not None:
            shared[name] = value
    own: Mapping[str, Any] = given(options).get("sampling", {})
    # Text is made of tokens after the window; only a stop string needs it while tokens come.
    return {"detokenize": bool(own.get("stop")), **shared, **own}


def check_lengths(config: ExperimentConfig) -> None:
    """Raise ConfigError where an option would end answers early although their length is fixed."""
    sampling = getattr(config.options, "sampling", None)
    if sampling is None or config.decoding.length != "fixed":
        return
    ending = [name for name in ("stop", "stop_token_ids") if getattr(sampling, name, None)]
    if ending:
        raise ConfigError(
            f"`vllm.sampling.{ending[0]}` ends answers early, and `decoding.length` is fixed.",
            remedy="Say decoding.length: natural, or leave the stop words out.",
        )


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, list):
        return ",".join(str(item) for item in value)
    return "" if value is None else str(value)
