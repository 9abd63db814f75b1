"""A configuration as arguments of torch, transformers and their companions: pure functions over plain data.

Nothing here imports torch, so that every field's way to the engine can be tested without a model or a GPU.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from llem.plugin_api import DecodingConfig, ModelConfig
from llem_pytorch.config import STATIC_CACHES, PyTorchConfig


@dataclass(frozen=True)
class Quantizer:
    """A quantization config of transformers, by name.

    Attributes:
        config: class in `transformers`, such as `BitsAndBytesConfig`.
        arguments: for its constructor.
        inner: class in `torchao.quantization` whose instance is its first argument, or None.
        inner_arguments: for the inner class.
    """

    config: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    inner: str | None = None
    inner_arguments: Mapping[str, Any] = field(default_factory=dict)


def torch_settings(options: PyTorchConfig) -> dict[str, Any]:
    """Settings of the whole process, by the name of torch's setter without `set_`; only those that are asked for."""
    settings: dict[str, Any] = {"float32_matmul_precision": options.float32_matmul}
    if options.num_threads is not None:
        settings["num_threads"] = options.num_threads
    if options.num_interop_threads is not None:
        settings["num_interop_threads"] = options.num_interop_threads
    return settings


def choose_device(options: PyTorchConfig, *, cuda: bool, mps: bool) -> str:
    """The device of the model: `cpu`, `mps` or `cuda:N`."""
    if options.device == "auto":
        return "cuda:0" if cuda else "mps" if mps else "cpu"
    return "cuda:0" if options.device == "cuda" else options.device


def pretrained_arguments(options: PyTorchConfig, model: ModelConfig, device: str) -> dict[str, Any]:
    """Keyword arguments of `AutoModelForCausalLM.from_pretrained`, without quantization."""
    arguments: dict[str, Any] = {"dtype": options.dtype, "trust_remote_code": model.trust_remote_code}
    if model.revision is not None:
        arguments["revision"] = model.revision
    if options.attn_implementation is not None:
        arguments["attn_implementation"] = options.attn_implementation
    if options.tensor_parallel.size > 1:
        return arguments  # device_map and tensor parallelism exclude each other
    if options.device_map is not None:
        arguments["device_map"] = options.device_map
    elif device != "cpu":
        arguments["device_map"] = device
    return arguments


def distributed_arguments(options: PyTorchConfig) -> dict[str, Any] | None:
    """Arguments of transformers' `DistributedConfig`, or None for one process."""
    if options.tensor_parallel.size == 1:
        return None
    return {"tp_size": options.tensor_parallel.size, "tp_plan": options.tensor_parallel.plan or "auto"}


def quantizer(options: PyTorchConfig, *, gguf: bool) -> Quantizer | None:
    """The quantizer of weights at load, or None where they are taken as they are."""
    q = options.quantization
    if gguf:
        return Quantizer("GgufConfig", {"dequantize": q.method == "none"})
    match q.method:
        case "bnb_8bit":
            return Quantizer("BitsAndBytesConfig", {"load_in_8bit": True, "llm_int8_threshold": q.int8_threshold})
        case "bnb_4bit":
            return Quantizer(
                "BitsAndBytesConfig",
                {
                    "load_in_4bit": True,
                    "bnb_4bit_compute_dtype": q.compute_dtype,
                    "bnb_4bit_quant_type": q.quant_type,
                    "bnb_4bit_use_double_quant": q.double_quant,
                },
            )
        case "torchao_int8":
            return Quantizer("TorchAoConfig", inner="Int8WeightOnlyConfig")
        case "torchao_int8_dynamic":
            return Quantizer("TorchAoConfig", inner="Int8DynamicActivationInt8WeightConfig")
        case "torchao_int4":
            return Quantizer(
                "TorchAoConfig", inner="Int4WeightOnlyConfig", inner_arguments={"group_size": q.group_size}
            )
        case "torchao_float8":
            return Quantizer("TorchAoConfig", inner="Float8WeightOnlyConfig")
        case "torchao_float8_dynamic":
            return Quantizer("TorchAoConfig", inner="Float8DynamicActivationFloat8WeightConfig")
        case _:
            return None


def adapter_arguments(options: PyTorchConfig) -> dict[str, Any] | None:
    """Where the LoRA adapter is and whether it is merged, or None without one."""
    if options.lora_adapter is None:
        return None
    return {"source": options.lora_adapter, "revision": options.lora_revision, "merge": options.lora_merge}


def assistant_model(options: PyTorchConfig, model: ModelConfig) -> ModelConfig | None:
    """The assistant as a model of its own, or None without one."""
    if options.assistant_model is None:
        return None
    return ModelConfig(
        source=options.assistant_model,
        revision=options.assistant_revision,
        trust_remote_code=model.trust_remote_code,
    )


def assistant_generation(options: PyTorchConfig) -> dict[str, Any]:
    """The assistant's own generation config: how much it drafts."""
    return {
        "num_assistant_tokens": options.num_assistant_tokens,
        "num_assistant_tokens_schedule": "constant",
        "assistant_confidence_threshold": options.assistant_confidence_threshold,
    }


def compile_arguments(options: PyTorchConfig) -> dict[str, Any] | None:
    """Arguments of transformers' `CompileConfig`, or None where nothing is compiled."""
    c = options.compile
    if not c.enabled:
        return None
    # Only inductor has modes; transformers' own default mode would reach the other backends as an unknown argument.
    mode = c.mode if c.backend == "inductor" else "default"
    return {"mode": mode, "backend": c.backend, "fullgraph": c.fullgraph, "dynamic": c.dynamic}


def cache_arguments(options: PyTorchConfig, max_cache_len: int | None) -> dict[str, Any]:
    """The generation config's part about keys and values.

    Args:
        max_cache_len: tokens that a static cache must hold in any batch to come, so that it keeps one size.
    """
    arguments: dict[str, Any] = {"use_cache": options.use_cache}
    kind = options.effective_cache
    if kind is None:
        return arguments
    if kind != "dynamic":
        arguments["cache_implementation"] = kind
    if kind == "quantized":
        q = options.cache_quantization
        arguments["cache_config"] = {"backend": q.backend}
        if q.backend != "fp8":
            arguments["cache_config"] |= {
                "nbits": q.bits,
                "q_group_size": q.group_size,
                "residual_length": q.residual_length,
                "axis_key": q.axis_key,
                "axis_value": q.axis_value,
            }
    if kind in STATIC_CACHES and max_cache_len is not None:
        arguments["max_cache_len"] = max_cache_len
    if options.prefill_chunk_size is not None:
        arguments["prefill_chunk_size"] = options.prefill_chunk_size
    return arguments


def sampling_arguments(decoding: DecodingConfig) -> dict[str, Any]:
    """The generation config's part about choosing tokens. Temperature None or 0 is greedy.

    Every field is given: what is left out, transformers fills from its own defaults (top_k 50 among them).
    """
    arguments: dict[str, Any] = {"num_beams": 1, "repetition_penalty": decoding.repetition_penalty or 1.0}
    if not decoding.temperature:
        return arguments | {"do_sample": False}
    return arguments | {
        "do_sample": True,
        "temperature": decoding.temperature,
        "top_k": decoding.top_k or 0,
        "top_p": decoding.top_p if decoding.top_p is not None else 1.0,
        "min_p": decoding.min_p,
    }


def generation_arguments(
    options: PyTorchConfig,
    decoding: DecodingConfig,
    *,
    max_new_tokens: int,
    eos_token_ids: Collection[int],
    pad_token_id: int,
    max_cache_len: int | None = None,
) -> dict[str, Any]:
    """Arguments of transformers' `GenerationConfig` for one batch; `compile_config` stays a dict of arguments.

    Args:
        max_new_tokens: the longest answer of the batch.
        eos_token_ids: ids that end a sequence; empty where length is fixed: then no step looks for them at all.
    """
    arguments: dict[str, Any] = {
        "max_new_tokens": max_new_tokens,
        "eos_token_id": sorted(eos_token_ids) or None,
        "pad_token_id": pad_token_id,
        **sampling_arguments(decoding),
        **cache_arguments(options, max_cache_len),
    }
    compiled = compile_arguments(options)
    # On CUDA a static cache alone would make transformers compile; that is this configuration's decision.
    arguments |= {"disable_compile": True} if compiled is None else {"compile_config": compiled}
    if options.prompt_lookup_num_tokens is not None:
        arguments["prompt_lookup_num_tokens"] = options.prompt_lookup_num_tokens
        arguments["max_matching_ngram_size"] = options.max_matching_ngram_size
    return arguments
