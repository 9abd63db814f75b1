"""Unpacked weights of GGUF files, kept in the user's cache, since unpacking takes much longer than loading.

An entry is a folder as `from_pretrained` takes it: weights in the dtype that was asked for, configuration, tokenizer. It is
found by the content of the GGUF file, so that another file of the same name never meets old weights, and it serves only while
its own files have the digests that were written with it. A cache that cannot be written or read costs time and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import platformdirs
import transformers

LARGEST_BYTES = 4 * 2**30
"""Weights above this size are not kept: the cache is for small models, which are loaded again and again."""

ALL_BYTES = 8 * 2**30
"""So much is kept in all; the entries that were used least recently go first."""

DIGESTS = "digests.json"


class UnpackedWeights:
    """The entry of one GGUF file in one dtype.

    Args:
        file: the GGUF file.
        dtype: as `from_pretrained` is asked for it.
        root: where entries are kept.
    """

    def __init__(self, file: Path, dtype: object, root: Path | None = None) -> None:
        self._root = root or platformdirs.user_cache_path("llem") / "unpacked"
        # What unpacks the weights belongs to what they are.
        identity = f"{_digest(file)} {dtype} transformers {transformers.__version__}"
        self._folder = self._root / hashlib.sha256(identity.encode()).hexdigest()[:32]

    def find(self) -> Path | None:
        """The entry's folder, or None where there is none that is whole."""
        try:
            digests = json.loads((self._folder / DIGESTS).read_text(encoding="utf-8"))
            if {path.name for path in self._folder.iterdir()} != {DIGESTS, *digests}:
                return None
            if any(_digest(self._folder / name) != digest for name, digest in digests.items()):
                return None
            os.utime(self._folder)
        except (OSError, ValueError, AttributeError, TypeError):
            return None
        return self._folder

    def keep(self, model: Any, tokenizer: Callable[[], Any]) -> Path | None:
        """Write the entry, whole or not at all.

        Args:
            model: as transformers unpacked it.
            tokenizer: loads the file's tokenizer.

        Returns:
            Its folder; None where it was not kept: too large, no room, or no cache that can be written.
        """
        size = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            if size > LARGEST_BYTES or shutil.disk_usage(self._root).free < 4 * size:
                return None
            with tempfile.TemporaryDirectory(dir=self._root, prefix=".writing-") as scratch:
                made = Path(scratch) / "entry"
                made.mkdir()
                _write(made, model, tokenizer())
                shutil.rmtree(self._folder, ignore_errors=True)  # one that was damaged
                made.rename(self._folder)
            _make_room(self._root, keep=self._folder)
        except OSError:
            return None
        return self._folder


def _write(folder: Path, model: Any, tokenizer: Any) -> None:
    from safetensors.torch import save_model

    save_model(model, str(folder / "model.safetensors"), metadata={"format": "pt"})
    described: Mapping[str, Any] = model.config.to_dict()
    own = {key: value for key, value in described.items() if key != "quantization_config"}
    (folder / "config.json").write_text(json.dumps(own, default=str), encoding="utf-8")
    model.generation_config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    digests = {path.name: _digest(path) for path in sorted(folder.iterdir())}
    (folder / DIGESTS).write_text(json.dumps(digests), encoding="utf-8")


def _make_room(root: Path, keep: Path) -> None:
    """Remove the entries that were used least recently until the rest fits."""
    entries = sorted(
        (path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")),
        key=lambda path: path.stat().st_mtime,
        reverse=True,
    )
    total = 0
    for entry in entries:
        total += sum(path.stat().st_size for path in entry.iterdir())
        if total > ALL_BYTES and entry != keep:
            shutil.rmtree(entry, ignore_errors=True)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
