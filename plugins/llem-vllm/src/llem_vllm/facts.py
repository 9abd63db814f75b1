"""Facts that a running vLLM knows of the model and of itself: above all what it decided. Plain data, which may come from another process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llem_engines.facts import Facts, versions_of
from llem_hub.architecture import architecture_of
from llem_vllm.names import VLLM

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


def facts_of(settings: Any) -> Facts:
    """The facts out of vLLM's configuration. Called where vLLM is imported."""
    model = settings.model_config
    return Facts(
        vocab_size=int(model.get_vocab_size()),
        end_ids=_end_ids(settings),
        dtype=str(model.dtype).removeprefix("torch."),
        architecture=architecture_of(model.hf_text_config.to_dict()),
        effective=_effective(settings),
        versions=_versions(),
    )


def replicas_of(facts: Facts) -> int:
    """The number of data-parallel replicas."""
    return int(facts["effective"].get("data_parallel_size", 1))


def _end_ids(settings: Any) -> list[int]:
    found = settings.model_config.try_get_generation_config().get("eos_token_id")
    if found is None:
        found = getattr(settings.model_config.hf_text_config, "eos_token_id", None)
    return [] if found is None else list(found) if isinstance(found, list) else [found]


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
    # What was imported is what ran, whatever distribution it came from.
    import vllm

    return {**versions_of((*VLLM.distributions, *PACKAGES)), "vllm": vllm.__version__}
