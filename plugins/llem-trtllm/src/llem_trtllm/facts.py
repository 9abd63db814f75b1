"""Facts of a model that TensorRT-LLM loaded, and of what it decided. Called where it is imported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from llem_engines import facts
from llem_engines.facts import versions_of
from llem_hub.architecture import architecture_of

PACKAGES = (
    "tensorrt_llm",
    "tensorrt",
    "torch",
    "transformers",
    "tokenizers",
    "nvidia-modelopt",
    "flashinfer-python",
    "triton",
    "xgrammar",
)

DECIDED = (
    "backend",
    "tensor_parallel_size",
    "pipeline_parallel_size",
    "context_parallel_size",
    "moe_tensor_parallel_size",
    "moe_expert_parallel_size",
    "enable_attention_dp",
    "max_batch_size",
    "max_num_tokens",
    "max_seq_len",
    "max_beam_width",
    "enable_chunked_prefill",
    "attn_backend",
    "sampler_type",
    "disable_overlap_scheduler",
    "stream_interval",
    "allreduce_strategy",
    "load_format",
)
"""Arguments that say most of how it runs, some of which it settles itself."""

PARTS: Mapping[str, tuple[str, ...]] = {
    "kv_cache_config": ("enable_block_reuse", "free_gpu_memory_fraction", "max_tokens", "dtype", "tokens_per_block"),
    "cuda_graph_config": ("max_batch_size", "enable_padding"),
    "moe_config": ("backend",),
    "scheduler_config": ("capacity_scheduler_policy", "context_chunking_policy"),
    "quant_config": ("quant_algo", "kv_cache_quant_algo"),
}
"""The same of options with parts."""


class Facts(facts.Facts):
    """All that is known once a model is loaded, with the tokens of prompt and answer together that one request may have."""

    context: int


def facts_of(settings: Any, folder: str, revision: str | None, *, trusts: bool) -> Facts:
    """The facts.

    Args:
        settings: the arguments of the `LLM` as it completed them.
        folder: of the model, or its hub id.
        revision: of the hub.
        trusts: code that comes with the model may run.
    """
    import transformers

    load: Any = transformers.AutoConfig.from_pretrained
    config = load(folder, revision=revision, trust_remote_code=trusts)
    text = config.get_text_config()
    asked = str(getattr(settings, "dtype", "auto"))
    own = getattr(text, "dtype", None) or getattr(text, "torch_dtype", None) or "float16"
    longest = getattr(text, "max_position_embeddings", None)
    context = [one for one in (getattr(settings, "max_seq_len", None), longest) if isinstance(one, int) and one > 0]
    return Facts(
        vocab_size=int(text.vocab_size),
        context=min(context) if context else 2**31,
        end_ids=_end_ids(folder, revision, text),
        dtype=str(own if asked == "auto" else asked).removeprefix("torch."),
        architecture=architecture_of(text.to_dict()),
        effective=dict(_effective(settings)),
        versions=versions_of(PACKAGES),
    )


def _end_ids(folder: str, revision: str | None, text: Any) -> list[int]:
    import transformers

    load: Any = transformers.GenerationConfig.from_pretrained
    try:
        found = load(folder, revision=revision).eos_token_id
    except OSError:
        found = None
    found = getattr(text, "eos_token_id", None) if found is None else found
    return [] if found is None else list(found) if isinstance(found, list) else [int(found)]


def _effective(settings: Any) -> Iterator[tuple[str, Any]]:
    for name in DECIDED:
        if (value := getattr(settings, name, None)) is not None:
            yield name, _plain(value)
    for part, names in PARTS.items():
        for name in names:
            if (value := getattr(getattr(settings, part, None), name, None)) is not None:
                yield f"{part.removesuffix('_config')}_{name}", _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, (bool, int, float)):
        return value
    return str(getattr(value, "value", value))
