"""The report on a model that was loaded: what the engine decided itself, and what llem settled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llem.plugin_api import LoadReport, ModelConfig, ModelError, parameter_count
from llem_engines.facts import Facts
from llem_engines.loading import Prepared
from llem_hub.tokens import Tokenizer


def load_report(
    facts: Facts,
    prepared: Prepared,
    tokenizer: Tokenizer,
    config: ModelConfig,
    devices: Sequence[str],
    effective: Mapping[str, Any] | None = None,
) -> LoadReport:
    """Everything that the engine knows of the model and of itself.

    Args:
        facts: what the engine told.
        prepared: how the model was found.
        tokenizer: what prompts go through.
        config: what the study says of the model.
        devices: stable ids.
        effective: what llem itself settled.
    """
    architecture = facts["architecture"]
    total, active = _parameters(architecture)
    settled = {**prepared.effective, **(effective or {}), "trust_remote_code": config.trust_remote_code}
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
        effective={**facts["effective"], **settled},
    )


def _parameters(architecture: Mapping[str, Any] | None) -> tuple[int | None, int | None]:
    """From the shape: an engine's processes hold parts of the weights, fused and padded, and no count of the model's own."""
    if architecture is None:
        return None, None
    try:
        return parameter_count(architecture)
    except ModelError:
        return None, None


def _commit(config: ModelConfig, prepared: Prepared) -> str | None:
    if prepared.location.kind != "hub":
        return None
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(prepared.location.name, "config.json", revision=config.revision)
    return Path(path).parent.name if isinstance(path, str) else None
