"""A model as an engine can load it: a hub id or a folder as it stands; GGUF files and shapes are written out as a folder first."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from llem.plugin_api import ModelConfig, ModelError
from llem_engines.names import EngineNames
from llem_engines.reasons import reason_of
from llem_hub.shapes import load_shape
from llem_hub.sources import ModelLocation, locate_model
from llem_hub.tokens import ByteTokenizer, TextTokenizer, Tokenizer


@dataclass(frozen=True)
class Keywords:
    """The engine's own keywords for what a study says of a model."""

    model: str
    tokenizer: str


@dataclass(frozen=True)
class Prepared:
    """A model that an engine can load.

    Attributes:
        location: where it came from.
        arguments: keywords that the engine is made with.
        tokenizer: for the result; None where there is none, and bytes are counted.
        tokenizer_source: hub id or folder of the tokenizer.
        tokenizer_revision: of a tokenizer that comes from a hub with the model.
        folder: what was written for it, to be removed at the end; None where nothing was.
        effective: what the result should say of it.
    """

    location: ModelLocation
    arguments: dict[str, Any]
    tokenizer: str | None
    tokenizer_source: str
    tokenizer_revision: str | None = None
    folder: Path | None = None
    effective: dict[str, Any] = field(default_factory=dict)

    def having(self, arguments: Mapping[str, Any]) -> Prepared:
        """The same with more keywords."""
        return replace(self, arguments={**self.arguments, **arguments})

    def load_tokenizer(self, vocab_size: int) -> Tokenizer:
        """The tokenizer in this process, for whoever needs it beside the engine's own."""
        if self.tokenizer is None:
            return ByteTokenizer(vocab_size)
        from transformers import AutoTokenizer

        load: Any = AutoTokenizer.from_pretrained
        found = load(
            self.tokenizer_source,
            revision=self.tokenizer_revision,
            trust_remote_code=self.arguments["trust_remote_code"],
        )
        return TextTokenizer(found, self.tokenizer)

    def remove(self) -> None:
        """Remove what was written."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def prepare(config: ModelConfig, base_dir: str, names: EngineNames, keywords: Keywords) -> Prepared:
    """Find the model, and write out what engines cannot read as it is.

    Args:
        config: what the study says of the model.
        base_dir: the folder that relative paths start from.
        names: of the engine.
        keywords: of the engine.

    Raises:
        ModelError: it is not there, is broken, or cannot be written out.
    """
    location = locate_model(config.source, base_dir)
    own = None if config.tokenizer is None else path_or_name(config.tokenizer, base_dir)
    arguments: dict[str, Any] = {"trust_remote_code": config.trust_remote_code}
    if own is not None:
        arguments[keywords.tokenizer] = own
    if location.kind == "random":
        folder = _written_shape(location)
        arguments |= {keywords.model: str(folder), "load_format": "dummy"}
        effective = {"weights": f"random, drawn by {names.engine}"}
        return Prepared(location, arguments, own, own or str(folder), None, folder, effective)
    if location.kind == "gguf":
        assert location.path is not None
        folder = _unpacked(location.path, names, with_tokenizer=own is None)
        arguments[keywords.model] = str(folder)
        effective = {"weights": "unpacked from GGUF by transformers"}
        return Prepared(location, arguments, own or location.path.name, own or str(folder), None, folder, effective)
    source = location.name if location.path is None else str(location.path)
    arguments[keywords.model] = source
    revision = config.revision if location.kind == "hub" and own is None else None
    return Prepared(location, arguments, own or source, own or source, revision)


def path_or_name(text: str, base_dir: str) -> str:
    """A folder below the study's own where there is one, else the text as it stands: a hub id."""
    folder = Path(base_dir, Path(text).expanduser())
    return str(folder.absolute()) if folder.exists() else text


def _written_shape(location: ModelLocation) -> Path:
    """A folder with nothing but the shape's config.json; an engine fills in the weights by itself."""
    folder = Path(tempfile.mkdtemp(prefix="llem-shape-"))
    (folder / "config.json").write_text(json.dumps(dict(load_shape(location.name).config)), encoding="utf-8")
    return folder


def _unpacked(file: Path, names: EngineNames, *, with_tokenizer: bool) -> Path:
    """A GGUF file, unpacked to full precision by transformers, as llem-pytorch unpacks it."""
    import torch
    import transformers

    folder = Path(tempfile.mkdtemp(prefix="llem-gguf-"))
    try:
        load: Any = transformers.AutoModelForCausalLM.from_pretrained
        model = load(str(file.parent), gguf_file=file.name, dtype=torch.float32)
        _plain(model).save_pretrained(folder)
        if with_tokenizer:
            transformers.AutoTokenizer.from_pretrained(str(file.parent), gguf_file=file.name).save_pretrained(folder)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ModelError(
            f"it cannot be unpacked: {reason_of(error)}.",
            where=str(file),
            remedy=f"{names.engine} reads folders and hub models; a GGUF file must be one that transformers can unpack.",
        ) from error
    return folder


def _plain(model: Any) -> Any:
    """The same weights in a model that does not know where they came from: one from a GGUF file is never written out, and with that
    file's quantization in its config an engine's first request fails."""
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    import torch

    with torch.device("meta"):
        plain = type(model)(model.config)
    plain.load_state_dict(model.state_dict(), assign=True)
    plain.tie_weights()
    return plain
