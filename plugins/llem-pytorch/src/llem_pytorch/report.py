"""Facts that are known once a model is loaded."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from llem.plugin_api import LoadReport, ModelConfig, ModelError, parameter_count
from llem_hub.architecture import architecture_of
from llem_hub.tokens import Tokenizer
from llem_pytorch.config import PyTorchConfig
from llem_pytorch.loading import Loaded, hub_commit

PACKAGES = ("torch", "transformers", "accelerate", "safetensors", "tokenizers")
"""Always part of the figures."""


def load_report(
    loaded: Loaded,
    tokenizer: Tokenizer,
    config: ModelConfig,
    options: PyTorchConfig,
    devices: Sequence[str],
) -> LoadReport:
    """Everything that the engine knows of the model, the settings that transformers chose among it.

    Args:
        devices: stable ids, of every process of a tensor-parallel group.
    """
    model = loaded.model
    hf_config = model.config.get_text_config()
    architecture = architecture_of(hf_config.to_dict())
    parameters = int(model.num_parameters())
    active = parameters if architecture is None else _active(architecture, parameters)
    return LoadReport(
        vocab_size=int(hf_config.vocab_size),
        special_token_ids=tokenizer.special_ids | loaded.end_ids,
        devices=list(devices),
        dtype=str(model.dtype).removeprefix("torch."),
        parameters=parameters,
        active_parameters=active,
        architecture=architecture,
        revision=hub_commit(config, loaded.location) or loaded.location.sha256(),
        tokenizer=tokenizer.name,
        versions=_versions(options, loaded.location.kind),
        effective=_effective(model, config, options),
    )


def _active(architecture: Mapping[str, Any], parameters: int) -> int | None:
    """Parameters that a token passes through; None for experts of a family whose shape is not known."""
    if not architecture["experts"]:
        return parameters
    try:
        total_by_shape, active_by_shape = parameter_count(architecture)
    except ModelError:
        return None
    # From the shape, since a module does not say which of its weights a token leaves out.
    return parameters - (total_by_shape - active_by_shape)


def _effective(model: Any, config: ModelConfig, options: PyTorchConfig) -> dict[str, Any]:
    effective: dict[str, Any] = {
        "attn_implementation": model.config._attn_implementation,
        "num_threads": torch.get_num_threads(),
        "num_interop_threads": torch.get_num_interop_threads(),
        "float32_matmul": torch.get_float32_matmul_precision(),
        "cache_implementation": options.effective_cache,
        "compiled": options.compile.enabled,
        "trust_remote_code": config.trust_remote_code,
        "context_tokens": getattr(model.config.get_text_config(), "max_position_embeddings", None),
    }
    if (places := getattr(model, "hf_device_map", None)) is not None:
        effective["device_map"] = {str(name): str(place) for name, place in places.items()}
    if (quantized := getattr(model.config, "quantization_config", None)) is not None:
        method = quantized.get("quant_method") if isinstance(quantized, dict) else quantized.quant_method
        effective["quantization"] = str(getattr(method, "value", method))
    if options.tensor_parallel.size > 1:
        effective["tensor_parallel"] = options.tensor_parallel.size
    return effective


def _versions(options: PyTorchConfig, kind: str) -> dict[str, str]:
    names = list(PACKAGES)
    method = options.quantization.method
    names += ["bitsandbytes"] if method.startswith("bnb") else []
    names += ["torchao"] if method.startswith("torchao") else []
    names += ["gptqmodel", "optimum", "kernels"] if method == "loaded" else []
    names += ["peft"] if options.lora_adapter is not None else []
    names += ["gguf"] if kind == "gguf" else []
    names += ["flash-attn", "kernels"] if (options.attn_implementation or "").startswith("flash") else []
    versions = {}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    if torch.version.cuda is not None:
        versions["cuda"] = torch.version.cuda
    return versions
