"""Facts that are known once vLLM has loaded a model: above all what vLLM decided itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llem.plugin_api import LoadReport, ModelConfig, ModelError, Tokenizer, parameter_count
from llem_vllm.facts import Facts
from llem_vllm.loading import Prepared


def load_report(
    facts: Facts, prepared: Prepared, tokenizer: Tokenizer, config: ModelConfig, devices: Sequence[str]
) -> LoadReport:
    """Everything that the engine knows of the model and of itself.

    Args:
        facts: what vLLM told.
        prepared: how the model was found.
        tokenizer: what prompts go through.
        config: what the study says of the model.
        devices: stable ids, of every worker.
    """
    architecture = facts["architecture"]
    total, active = _parameters(architecture)
    return LoadReport(
        vocab_size=facts["vocab_size"],
        special_token_ids=tokenizer.special_ids | frozenset(facts["end_ids"]),
        devices=list(devices),
        dtype=facts["dtype"],
        parameters=total,
        active_parameters=active,
        architecture=architecture,
        revision=_commit(config, prepared) or prepared.location.sha256(),
        tokenizer=tokenizer.name,
        versions=facts["versions"],
        effective={**facts["effective"], **prepared.effective, "trust_remote_code": config.trust_remote_code},
    )


def _parameters(architecture: Mapping[str, Any] | None) -> tuple[int | None, int | None]:
    """From the shape: vLLM's workers hold parts of the weights, fused and padded, and no count of the model's own."""
    if architecture is None:
        return None, None
    try:
        return parameter_count(architecture)
    except ModelError:
        return None, None


def _commit(config: ModelConfig, prepared: Prepared) -> str | None:
    if prepared.location.kind != "hub":
        return None
    from pathlib import Path

    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(prepared.location.name, "config.json", revision=config.revision)
    return Path(path).parent.name if isinstance(path, str) else None
