"""The architecture of a model, out of its configuration: what its FLOPs are computed from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_ALIASES: dict[str, tuple[str, ...]] = {
    "layers": ("num_hidden_layers", "n_layer", "num_layers", "n_layers"),
    "hidden_size": ("hidden_size", "n_embd", "d_model"),
    "heads": ("num_attention_heads", "n_head", "num_heads", "n_heads"),
}
_QKV_BIAS = frozenset({"qwen2"})
"""Families whose query, key and value projections have a bias that no field of their configuration mentions."""

_ATTENTION_BIAS = frozenset({"llama", "qwen3", "smollm3", "granite"})
"""Families in which `attention_bias` gives all four projections a bias."""

_MLP_BIAS = frozenset({"llama", "smollm3", "granite"})
_QK_NORM = frozenset({"qwen3"})
_WINDOWED = frozenset({"mistral", "mixtral", "phi3"})
"""Families in which `sliding_window` applies whenever it is given; elsewhere `use_sliding_window` or `layer_types` tell."""


def architecture_of(hf_config: Mapping[str, Any]) -> dict[str, Any] | None:
    """The facts that FLOPs depend on, out of a transformers `config.json` (or `config.to_dict()`), for a result.

    Returns:
        The mapping that `LoadReport.architecture` and `parameter_count` take; None where the number of layers, heads or the hidden size is not told, so that nothing can be computed.
    """
    config = {**hf_config, **(hf_config.get("text_config") or {})}
    found = {name: next((config[k] for k in keys if config.get(k)), None) for name, keys in _ALIASES.items()}
    if None in found.values():
        return None
    layers, hidden, heads = (int(found[name]) for name in ("layers", "hidden_size", "heads"))  # type: ignore[arg-type]
    family = str(config.get("model_type", ""))
    kinds = config.get("layer_types") or []
    attention_layers = sum("attention" in k and "linear" not in k for k in kinds) if kinds else layers
    window = config.get("sliding_window")
    if not kinds and family not in _WINDOWED and not config.get("use_sliding_window"):
        window = None
    windowed = sum(k == "sliding_attention" for k in kinds) if kinds else attention_layers
    if not kinds and family == "qwen2" and window:
        windowed = max(layers - int(config.get("max_window_layers") or 0), 0)
    attention_bias = bool(config.get("attention_bias")) and family in _ATTENTION_BIAS
    return {
        "family": family,
        "layers": layers,
        "attention_layers": attention_layers,
        "windowed_layers": windowed if window else 0,
        "window": int(window) if window and windowed else None,
        "hidden_size": hidden,
        "heads": heads,
        "kv_heads": int(config.get("num_key_value_heads") or heads),
        "head_dim": int(config.get("head_dim") or hidden // heads),
        "intermediate_size": int(config.get("intermediate_size") or 4 * hidden),
        "vocab_size": int(config.get("vocab_size") or 0),
        "experts": int(config.get("num_local_experts") or config.get("num_experts") or 0),
        "experts_per_token": int(config.get("num_experts_per_tok") or 0),
        "tied_embeddings": bool(config.get("tie_word_embeddings", False)),
        "qkv_bias": attention_bias or family in _QKV_BIAS,
        "output_bias": attention_bias,
        "mlp_bias": bool(config.get("mlp_bias")) and family in _MLP_BIAS,
        "qk_norm": family in _QK_NORM,
    }
