"""A tokenizer that counts words, as a folder that `transformers` reads: the rivals want one, and this counts as the server does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

UNKNOWN = "[UNK]"


def write(folder: Path) -> None:
    """Write it. Every word is one token."""
    folder.mkdir(parents=True)
    content: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": {UNKNOWN: 0, "word": 1}, "unk_token": UNKNOWN},
    }
    (folder / "tokenizer.json").write_text(json.dumps(content))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": UNKNOWN, "model_max_length": 1_000_000})
    )
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "vocab_size": 1000}))
