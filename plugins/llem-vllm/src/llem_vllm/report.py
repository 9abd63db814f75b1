"""Facts that are known once vLLM has loaded a model: above all what vLLM decided itself."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from typing import Any

from llem.plugin_api import LoadReport, ModelConfig, ModelError, Tokenizer, architecture_of, parameter_count
from llem_vllm.loading import Prepared
from llem_vllm.schema import DISTRIBUTIONS

PACKAGES = ("torch", "transformers", "tokenizers", "flashinfer-python", "triton", "xgrammar")

_DECISIONS: Mapping[str, tuple[str, ...]] = {
    "model_config": ("max_model_len", "quantization", "enforce_eager", "seed"),
    "cache_config": (
        "block_size",
        "cache_dtype",
        "enable_prefix_caching",
        "gpu_memory_utilization",
        "num_gpu_blocks",
        "num_cpu_blocks",
    ),
    "scheduler_config": (
        "max_num_seqs",
        "max_num_batched_tokens",
        "enable_chunked_prefill",
        "async_scheduling",
        "policy",
    ),
    "parallel_config": (
        "tensor_parallel_size",
        "pipeline_parallel_size",
        "data_parallel_size",
        "enable_expert_parallel",
        "distributed_executor_backend",
    ),
    "compilation_config": ("mode", "backend", "cudagraph_mode", "max_cudagraph_capture_size"),
    "attention_config": ("backend",),
    "load_config": ("load_format",),
    "speculative_config": ("method", "num_speculative_tokens"),
}
"""Settings that vLLM decides by model and platform, by the part of its configuration that holds them."""

_BY_OWN_NAME = frozenset({"model_config", "cache_config", "scheduler_config", "parallel_config", "load_config"})
"""Parts whose names are those of the options; the others' say little without the part's."""


def load_report(
    settings: Any, prepared: Prepared, tokenizer: Tokenizer, config: ModelConfig, devices: Sequence[str]
) -> LoadReport:
    """Everything that the engine knows of the model and of itself.

    Args:
        settings: vLLM's configuration, as it decided it.
        prepared: how the model was found.
        tokenizer: what prompts go through.
        config: what the study says of the model.
        devices: stable ids, of every worker.
    """
    hf_config = settings.model_config.hf_text_config
    architecture = architecture_of(hf_config.to_dict())
    total, active = _parameters(architecture)
    return LoadReport(
        vocab_size=int(settings.model_config.get_vocab_size()),
        special_token_ids=tokenizer.special_ids | _end_ids(settings),
        devices=list(devices),
        dtype=str(settings.model_config.dtype).removeprefix("torch."),
        parameters=total,
        active_parameters=active,
        architecture=architecture,
        revision=_commit(config, prepared) or prepared.location.sha256(),
        tokenizer=tokenizer.name,
        versions=_versions(),
        effective={**_effective(settings), **prepared.effective, "trust_remote_code": config.trust_remote_code},
    )


def _parameters(architecture: Mapping[str, Any] | None) -> tuple[int | None, int | None]:
    """From the shape: vLLM's workers hold parts of the weights, fused and padded, and no count of the model's own."""
    if architecture is None:
        return None, None
    try:
        return parameter_count(architecture)
    except ModelError:
        return None, None


def _end_ids(settings: Any) -> frozenset[int]:
    found = settings.model_config.try_get_generation_config().get("eos_token_id")
    if found is None:
        found = getattr(settings.model_config.hf_text_config, "eos_token_id", None)
    return frozenset() if found is None else frozenset(found if isinstance(found, list) else [found])


def _commit(config: ModelConfig, prepared: Prepared) -> str | None:
    if prepared.location.kind != "hub":
        return None
    from pathlib import Path

    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(prepared.location.name, "config.json", revision=config.revision)
    return Path(path).parent.name if isinstance(path, str) else None


def _effective(settings: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part, names in _DECISIONS.items():
        section = getattr(settings, part, None)
        for name in names if section is not None else ():
            value = getattr(section, name, None)
            if value is not None:
                key = name if part in _BY_OWN_NAME else f"{part.removesuffix('_config')}_{name}"
                found[key] = _plain(value)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, (bool, int, float, str)):
        return value
    return getattr(value, "name", None) or str(value)


def _versions() -> dict[str, str]:
    import torch

    versions = {}
    for name in (*DISTRIBUTIONS, *PACKAGES):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    # What was imported is what ran, whatever distribution it came from.
    import vllm

    versions["vllm"] = vllm.__version__
    if torch.version.cuda is not None:
        versions["cuda"] = torch.version.cuda
    return versions
