"""The model as TensorRT-LLM takes it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from llem.plugin_api import ModelConfig
from llem_engines.loading import Keywords, Prepared
from llem_engines.loading import prepare as prepare_model
from llem_trtllm.names import TRTLLM

_KEYWORDS = Keywords(model="model", tokenizer="tokenizer")
_CHUNK = 2**22


def prepare(config: ModelConfig, base_dir: str) -> Prepared:
    """Find the model, and write out what TensorRT-LLM cannot read as it is.

    Raises:
        ModelError: it is not there, is broken, or cannot be written out.
    """
    found = prepare_model(config, base_dir, TRTLLM, _KEYWORDS)
    more: dict[str, Any] = {}
    if found.location.kind == "hub" and config.revision is not None:
        more["revision"] = config.revision
    return found.having(more)


def on_disk(prepared: Prepared) -> Path:
    """The folder of the model on this machine; one of the hub is fetched, in the revision that was asked for."""
    if prepared.location.kind == "hub":
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(prepared.location.name, revision=prepared.arguments.get("revision")))
    return Path(prepared.arguments["model"])


def identity_of(prepared: Prepared, folder: Path) -> str:
    """The identity of what is built from: a hub's commit, else what the files hold. Reads all of a folder's bytes."""
    if prepared.location.kind == "hub":
        # The hub's cache has one folder for each commit, and calls it so.
        return f"{prepared.location.name}@{folder.name}"
    whole = hashlib.sha256()
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        whole.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                whole.update(chunk)
    return f"sha256:{whole.hexdigest()}"
