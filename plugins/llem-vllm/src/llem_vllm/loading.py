"""Where vLLM finds the model: a hub id or a folder as it stands; GGUF files and shapes are written out as a folder first."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llem.plugin_api import ModelConfig, ModelError, ModelLocation, Section, load_shape, locate_model


@dataclass(frozen=True)
class Prepared:
    """A model as vLLM can load it.

    Attributes:
        location: where it came from.
        arguments: keywords of EngineArgs.
        folder: what was written for it, to be removed at the end; None where nothing was.
        tokenizer: for the result; None where there is none, and bytes are counted.
    """

    location: ModelLocation
    arguments: dict[str, Any]
    tokenizer: str | None
    folder: Path | None = None
    effective: dict[str, Any] = field(default_factory=dict)

    def remove(self) -> None:
        """Remove what was written."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def prepare(config: ModelConfig, options: Section, base_dir: str) -> Prepared:
    """Find the model, and write out what vLLM cannot read as it is.

    Raises:
        ModelError: it is not there, is broken, or cannot be written out.
    """
    location = locate_model(config.source, base_dir)
    arguments: dict[str, Any] = {"trust_remote_code": config.trust_remote_code}
    tokenizer = _tokenizer(config, base_dir)
    if tokenizer is not None:
        arguments["tokenizer"] = tokenizer
    if location.kind == "random":
        return _shape(location, arguments, tokenizer)
    if location.kind == "gguf":
        return _unpacked(location, arguments, tokenizer)
    source = location.name if location.path is None else str(location.path)
    arguments |= {"model": source}
    if location.kind == "hub":
        arguments |= {"revision": config.revision}
        if tokenizer is None:
            arguments |= {"tokenizer_revision": config.revision}
    return Prepared(location, arguments, tokenizer or source)


def path_or_name(text: str, base_dir: str) -> str:
    """A folder below the study's own where there is one, else the text as it stands: a hub id."""
    folder = Path(base_dir, Path(text).expanduser())
    return str(folder.absolute()) if folder.exists() else text


def adapter_of(options: Section, base_dir: str) -> str | None:
    """The folder or hub id of the adapter that every request uses; None without one."""
    adapter = getattr(options, "lora_adapter", None)
    return None if adapter is None else path_or_name(adapter, base_dir)


def _tokenizer(config: ModelConfig, base_dir: str) -> str | None:
    return None if config.tokenizer is None else path_or_name(config.tokenizer, base_dir)


def _shape(location: ModelLocation, arguments: dict[str, Any], tokenizer: str | None) -> Prepared:
    """A shape becomes a folder with nothing but its config.json; vLLM fills in the weights by itself, by a fixed seed."""
    folder = Path(tempfile.mkdtemp(prefix="llem-shape-"))
    (folder / "config.json").write_text(json.dumps(dict(load_shape(location.name).config)), encoding="utf-8")
    arguments |= {"model": str(folder), "load_format": "dummy"}
    if tokenizer is None:
        arguments |= {"skip_tokenizer_init": True}
    return Prepared(location, arguments, tokenizer, folder, {"weights": "random, drawn by vLLM"})


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
            remedy="vLLM reads folders and hub models; a GGUF file must be one that transformers can unpack.",
        ) from error
    arguments |= {"model": str(folder)}
    return Prepared(location, arguments, tokenizer or name, folder, {"weights": "unpacked from GGUF by transformers"})


def _plain(model: Any) -> Any:
    """The same weights in a model that does not know where they came from: one from a GGUF file is never written out."""
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    import torch

    with torch.device("meta"):
        plain = type(model)(model.config)
    plain.load_state_dict(model.state_dict(), assign=True)
    plain.tie_weights()
    return plain
