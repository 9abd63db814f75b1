"""Checks that local weights are whole, by a few bytes of each file: the commonest fault is a broken download."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any

from llem.plugin_api import ModelError

_AGAIN = "Download the model again, and compare sizes with where it came from."
_MAX_HEADER = 100_000_000
"""Bytes. The safetensors format allows no longer header."""


def check_folder(folder: Path) -> None:
    """Check a model folder: config.json, and weights that are all there and not cut off.

    Raises:
        ModelError: something is missing or broken.
    """
    config = folder / "config.json"
    ggufs = sorted(path.name for path in folder.glob("*.gguf"))
    if not config.is_file():
        hint = f"Give the file: {folder / ggufs[0]}." if ggufs else "Give the folder that `save_pretrained` wrote."
        raise ModelError("this folder has no config.json, so it is no model.", where=str(folder), remedy=hint)
    data = _json_of(config)
    if "model_type" not in data:
        raise ModelError("it has no `model_type`.", where=str(config), remedy=_AGAIN)
    shards = _shards(folder)
    if not shards:
        raise ModelError(
            "this folder has a config.json but no weights (*.safetensors or *.bin).",
            where=str(folder),
            remedy=f"{_AGAIN} For random weights of a published shape use random:ARCHITECTURE.",
        )
    for shard in shards:
        if shard.suffix == ".safetensors":
            check_safetensors(shard)
        elif _size(shard) == 0:
            raise ModelError("this file is empty.", where=str(shard), remedy=_AGAIN)


def _shards(folder: Path) -> list[Path]:
    """Weight files: those of the index where there is one, else all. transformers prefers safetensors, and so does this."""
    for index_name, pattern in (
        ("model.safetensors.index.json", "*.safetensors"),
        ("pytorch_model.bin.index.json", "pytorch_model*.bin"),
    ):
        index = folder / index_name
        if index.is_file():
            weight_map = _json_of(index).get("weight_map")
            if not isinstance(weight_map, dict) or not weight_map:
                raise ModelError("it has no `weight_map`.", where=str(index), remedy=_AGAIN)
            shards = [folder / str(name) for name in sorted(set(weight_map.values()))]
            missing = [shard.name for shard in shards if not shard.is_file()]
            if missing:
                raise ModelError(
                    f"{len(missing)} of {len(shards)} weight files are missing: {', '.join(missing[:5])}.",
                    where=str(folder),
                    remedy=_AGAIN,
                )
            return shards
        found = sorted(path for path in folder.glob(pattern) if not path.name.startswith("adapter_"))
        if found:
            return found
    return []


def check_safetensors(path: Path) -> None:
    """Check that a safetensors file is as long as its header says.

    The format: 8 bytes, little-endian: length of the header; the header, JSON; the tensors' bytes, without a gap.

    Raises:
        ModelError: empty, cut off, or no safetensors file.
    """
    size = _size(path)
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if length == 0 or length > _MAX_HEADER:
            what = "this file is empty." if not start else "this is no safetensors file."
            raise ModelError(what, where=str(path), remedy=_AGAIN)
        raw = file.read(length)
    if len(raw) < length:
        raise ModelError(
            f"it is cut off within its header, at {size:,} bytes of at least {8 + length:,}.",
            where=str(path),
            remedy=_AGAIN,
        )
    try:
        header = json.loads(raw)
        end = max((t["data_offsets"][1] for name, t in header.items() if name != "__metadata__"), default=0)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ModelError("its header cannot be read.", where=str(path), remedy=_AGAIN) from error
    if size < 8 + length + end:
        raise ModelError(f"it is cut off: {size:,} bytes of {8 + length + end:,}.", where=str(path), remedy=_AGAIN)


def check_gguf(path: Path) -> None:
    """Check the fixed part of a GGUF file: magic, version, and that it claims to hold tensors.

    The format: `GGUF`, version (uint32), number of tensors and of metadata entries (uint64 each), little-endian.

    Raises:
        ModelError: empty, cut off, or no GGUF file.
    """
    size = _size(path)
    if size == 0:
        raise ModelError("this file is empty.", where=str(path), remedy=_AGAIN)
    with path.open("rb") as file:
        start = file.read(24)
    if start[:4] != b"GGUF":
        pointer = start.startswith(b"version https://git-lfs"[:24])
        hint = "It is a Git LFS pointer: fetch the file itself with git lfs pull." if pointer else _AGAIN
        raise ModelError("this is no GGUF file: it does not begin with `GGUF`.", where=str(path), remedy=hint)
    if len(start) < 24:
        raise ModelError(f"it is cut off: {size} bytes.", where=str(path), remedy=_AGAIN)
    version, tensors, entries = struct.unpack("<IQQ", start[4:])
    if version not in (2, 3):
        raise ModelError(
            f"it is GGUF of version {version}; versions 2 and 3 can be read.",
            where=str(path),
            remedy="Convert it with a current llama.cpp.",
        )
    if tensors == 0 or entries == 0:
        raise ModelError("it holds no tensors.", where=str(path), remedy="Give the file with the weights.")


def _size(path: Path) -> int:
    try:
        if not os.access(path, os.R_OK):
            raise PermissionError(13, "permission denied")
        return path.stat().st_size
    except OSError as error:
        raise ModelError(
            f"it cannot be read: {error.strerror}.", where=str(path), remedy="Make it readable for this user."
        ) from error


def _json_of(path: Path) -> dict[str, Any]:
    _size(path)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"it is not JSON: {error}.", where=str(path), remedy=_AGAIN) from error
    if not isinstance(data, dict):
        raise ModelError("it is JSON, but no object.", where=str(path), remedy=_AGAIN)
    return data
