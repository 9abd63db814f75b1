"""The model as SGLang takes it: a hub id or a folder as it stands; GGUF files and shapes are written out as a folder first."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llem.plugin_api import ModelConfig, ModelError, ModelLocation, Section, load_shape, locate_model

_OF_THE_DRAFT = ("speculative_draft_model_path", "speculative_token_map")
"""Options that may name a folder or file below the study's own."""


@dataclass(frozen=True)
class Prepared:
    """A model as SGLang can load it.

    Attributes:
        location: where it came from.
        arguments: keywords of ServerArgs.
        tokenizer: for the result; None where there is none, and bytes are counted.
        tokenizer_revision: of a tokenizer that comes from a hub with the model.
        folder: what was written for it, to be removed at the end; None where nothing was.
        effective: what the result should say of it.
    """

    location: ModelLocation
    arguments: dict[str, Any]
    tokenizer: str | None
    tokenizer_revision: str | None = None
    folder: Path | None = None
    effective: dict[str, Any] = field(default_factory=dict)

    def remove(self) -> None:
        """Remove what was written."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def prepare(config: ModelConfig, options: Section, base_dir: str) -> Prepared:
    """Find the model, and write out what SGLang cannot read as it is.

    Raises:
        ModelError: it is not there, is broken, or cannot be written out.
    """
    location = locate_model(config.source, base_dir)
    arguments: dict[str, Any] = {"trust_remote_code": config.trust_remote_code}
    tokenizer = None if config.tokenizer is None else _path_or_name(config.tokenizer, base_dir)
    if tokenizer is not None:
        arguments["tokenizer_path"] = tokenizer
    for name in _OF_THE_DRAFT:
        if (draft := getattr(options, name, None)) is not None:
            arguments[name] = _path_or_name(draft, base_dir)
    if location.kind == "random":
        return _shape(location, arguments, tokenizer)
    if location.kind == "gguf":
        return _unpacked(location, arguments, tokenizer)
    source = location.name if location.path is None else str(location.path)
    arguments["model_path"] = source
    revision = config.revision if location.kind == "hub" else None
    if revision is not None:
        arguments["revision"] = revision
    return Prepared(location, arguments, tokenizer or source, revision if tokenizer is None else None)


def _path_or_name(text: str, base_dir: str) -> str:
    """A folder below the study's own where there is one, else the text as it stands: a hub id."""
    folder = Path(base_dir, Path(text).expanduser())
    return str(folder.absolute()) if folder.exists() else text


def _shape(location: ModelLocation, arguments: dict[str, Any], tokenizer: str | None) -> Prepared:
    """A shape becomes a folder with nothing but its config.json; SGLang fills in the weights by itself."""
    folder = Path(tempfile.mkdtemp(prefix="llem-shape-"))
    (folder / "config.json").write_text(json.dumps(dict(load_shape(location.name).config)), encoding="utf-8")
    arguments |= {"model_path": str(folder), "load_format": "dummy"}
    effective = {"weights": "random, drawn by SGLang"}
    return Prepared(location, arguments, tokenizer, None, folder, effective)


def _unpacked(location: ModelLocation, arguments: dict[str, Any], tokenizer: str | None) -> Prepared:
    """A GGUF file, unpacked to full precision by transformers, as llem-pytorch unpacks it."""
    import torch
    import transformers

    assert location.path is not None
    source, name = str(location.path.parent), location.path.name
    folder = Path(tempfile.mkdtemp(prefix="llem-gguf-"))
    try:
        load: Any = transformers.AutoModelForCausalLM.from_pretrained
        model = load(source, gguf_file=name, dtype=torch.float32)
        _plain(model).save_pretrained(folder)
        if tokenizer is None:
            transformers.AutoTokenizer.from_pretrained(source, gguf_file=name).save_pretrained(folder)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ModelError(
            f"it cannot be unpacked: {str(error).splitlines()[0] if str(error) else type(error).__name__}.",
            where=str(location.path),
            remedy="SGLang reads folders and hub models; a GGUF file must be one that transformers can unpack.",
        ) from error
    arguments["model_path"] = str(folder)
    effective = {"weights": "unpacked from GGUF by transformers"}
    return Prepared(location, arguments, tokenizer or name, None, folder, effective)


def _plain(model: Any) -> Any:
    """The same weights in a model that does not know where they came from: with the GGUF's own quantization in its config the first
    request fails in SGLang."""
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    import torch

    with torch.device("meta"):
        plain = type(model)(model.config)
    plain.load_state_dict(model.state_dict(), assign=True)
    plain.tie_weights()
    return plain
