"""Facts that are known once SGLang has loaded a model: above all what SGLang decided itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llem.plugin_api import ExperimentConfig, LoadReport, ModelError, Tokenizer, parameter_count
from llem_sglang.config import keeps_cache
from llem_sglang.loading import Prepared
from llem_sglang.messages import Facts
from llem_sglang.passes import MADE_BY


def load_report(
    facts: Facts, prepared: Prepared, tokenizer: Tokenizer, config: ExperimentConfig, devices: Sequence[str]
) -> LoadReport:
    """Everything that the engine knows of the model and of itself.

    Args:
        facts: what SGLang told.
        prepared: how the model was found.
        tokenizer: what prompts go through.
        config: the experiment.
        devices: stable ids.
    """
    architecture = facts["architecture"]
    total, active = _parameters(architecture)
    effective = {
        **facts["effective"],
        **prepared.effective,
        "context_length": facts["context"],
        "radix_cache": radix_cache(config, facts["effective"]),
        "trust_remote_code": config.model.trust_remote_code,
    }
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
        effective=effective,
    )


def radix_cache(config: ExperimentConfig, effective: Mapping[str, Any]) -> str:
    """The treatment of the radix cache, in words for the result."""
    if effective.get("disable_radix_cache"):
        return "off"
    if config.measurement.scenario not in MADE_BY:
        return "kept, as a server keeps it"
    return "kept between passes" if keeps_cache(config.options) else "emptied between passes"


def _parameters(architecture: Mapping[str, Any] | None) -> tuple[int | None, int | None]:
    """From the shape: SGLang's processes hold parts of the weights, fused and padded, and no count of the model's own."""
    if architecture is None:
        return None, None
    try:
        return parameter_count(architecture)
    except ModelError:
        return None, None


def _commit(config: ExperimentConfig, prepared: Prepared) -> str | None:
    if prepared.location.kind != "hub":
        return None
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(prepared.location.name, "config.json", revision=config.model.revision)
    return Path(path).parent.name if isinstance(path, str) else None
