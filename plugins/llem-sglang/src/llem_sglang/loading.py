"""The model as SGLang takes it, and the one that drafts for it."""

from __future__ import annotations

from typing import Any

from llem.plugin_api import ModelConfig, Section
from llem_engines.loading import Keywords, Prepared, path_or_name
from llem_engines.loading import prepare as prepare_model
from llem_sglang.names import SGLANG

_KEYWORDS = Keywords(model="model_path", tokenizer="tokenizer_path")
_OF_THE_DRAFT = ("speculative_draft_model_path", "speculative_token_map")
"""Options that may name a folder or file below the study's own."""


def prepare(config: ModelConfig, options: Section, base_dir: str) -> Prepared:
    """Find the model, and write out what SGLang cannot read as it is.

    Raises:
        ModelError: it is not there, is broken, or cannot be written out.
    """
    found = prepare_model(config, base_dir, SGLANG, _KEYWORDS)
    more: dict[str, Any] = {}
    for name in _OF_THE_DRAFT:
        if (draft := getattr(options, name, None)) is not None:
            more[name] = path_or_name(draft, base_dir)
    if found.location.kind == "hub" and config.revision is not None:
        more["revision"] = config.revision
    return found.having(more)
