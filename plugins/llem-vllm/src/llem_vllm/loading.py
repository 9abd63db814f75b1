"""The place where vLLM finds the model, and the adapter of its requests."""

from __future__ import annotations

from typing import Any

from llem.plugin_api import ModelConfig, Section
from llem_engines.loading import Keywords, Prepared, path_or_name
from llem_engines.loading import prepare as prepare_model
from llem_vllm.names import VLLM

_KEYWORDS = Keywords(model="model", tokenizer="tokenizer")


def prepare(config: ModelConfig, base_dir: str) -> Prepared:
    """Find the model, and write out what vLLM cannot read as it is. Weights of a shape it draws by a fixed seed.

    Raises:
        ModelError: it is not there, is broken, or cannot be written out.
    """
    found = prepare_model(config, base_dir, VLLM, _KEYWORDS)
    more: dict[str, Any] = {}
    if found.location.kind == "hub":
        more["revision"] = config.revision
        if config.tokenizer is None:
            more["tokenizer_revision"] = config.revision
    if found.tokenizer is None:
        more["skip_tokenizer_init"] = True
    return found.having(more)


def adapter_of(options: Section, base_dir: str) -> str | None:
    """The folder or hub id of the adapter that every request uses; None without one."""
    adapter = getattr(options, "lora_adapter", None)
    return None if adapter is None else path_or_name(adapter, base_dir)
