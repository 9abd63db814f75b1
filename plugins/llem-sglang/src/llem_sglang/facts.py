"""Facts that a loaded SGLang knows of the model and of itself: above all what it decided. Called where SGLang is imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llem_engines.facts import versions_of
from llem_hub.architecture import architecture_of
from llem_sglang.messages import Facts

PACKAGES = (
    "sglang",
    "torch",
    "transformers",
    "tokenizers",
    "sglang-kernel",
    "sgl-kernel",
    "flashinfer-python",
    "triton",
    "xgrammar",
)

DECIDED = (
    "attention_backend",
    "prefill_attention_backend",
    "decode_attention_backend",
    "sampling_backend",
    "grammar_backend",
    "device",
    "kv_cache_dtype",
    "quantization",
    "mem_fraction_static",
    "max_total_num_tokens",
    "max_req_input_len",
    "max_running_requests",
    "max_prefill_tokens",
    "chunked_prefill_size",
    "schedule_policy",
    "schedule_conservativeness",
    "page_size",
    "disable_radix_cache",
    "radix_eviction_policy",
    "enable_hierarchical_cache",
    "disable_overlap_schedule",
    "disable_cuda_graph",
    "cuda_graph_max_bs",
    "enable_torch_compile",
    "enable_mixed_chunk",
    "tp_size",
    "dp_size",
    "pp_size",
    "ep_size",
    "speculative_algorithm",
    "speculative_num_steps",
    "speculative_num_draft_tokens",
    "load_format",
    "random_seed",
    "stream_interval",
)
"""Settings that SGLang decides by model and platform, or that say most of how it ran."""


def facts_of(engine: Any) -> Facts:
    """The facts out of an Engine, before its event loop serves requests."""
    model = engine.tokenizer_manager.model_config
    told = engine.get_server_info()
    return Facts(
        vocab_size=int(model.vocab_size),
        context=int(model.context_len),
        end_ids=sorted(int(one) for one in model.hf_eos_token_id or ()),
        dtype=str(model.dtype).removeprefix("torch."),
        architecture=architecture_of(model.hf_text_config.to_dict()),
        effective=effective_of(told),
        versions=versions_of(PACKAGES),
    )


def effective_of(told: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that SGLang decided, out of all that it tells; memory in GB as it counts it."""
    found = {name: _plain(told[name]) for name in DECIDED if told.get(name) is not None}
    states: Sequence[Mapping[str, Any]] = told.get("internal_states") or ({},)
    memory = states[0].get("memory_usage") or {}
    return found | {f"memory_{name}": float(value) for name, value in memory.items() if isinstance(value, (int, float))}


def _plain(value: Any) -> Any:
    return value if isinstance(value, (bool, int, float, str)) else str(value)
