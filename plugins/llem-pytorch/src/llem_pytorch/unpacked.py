"""Unpacked weights of GGUF files, kept in the user's cache, since unpacking takes much longer than loading.

An entry is a folder as `from_pretrained` takes it: weights in float32, as they are unpacked, from which a load in another
dtype rounds as it would from the file itself; configuration; tokenizer. It is found by the content of the GGUF file, so that
another file of the same name never meets old weights, and it serves only while its own files have the digests that were
written with it. A cache that cannot be written or read costs time and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import platformdirs
import transformers

LARGEST_FILE_BYTES = 2**29
"""Larger files are not kept unpacked: the cache is for small models, which are loaded again and again."""

GROWTH = 8
"""An unpacked file takes at most about so many times its packed size."""

ALL_BYTES = 8 * 2**30
"""Most that is kept in all; the entries that were used least recently go first."""

DIGESTS = "digests.json"


class UnpackedWeights:
    """The entry of one GGUF file.

    Args:
        file: the GGUF file.
        root: where entries are kept.
    """

    def __init__(self, file: Path, root: Path | None = None) -> None:
        self._file = file
        self._root = root or platformdirs.user_cache_path("llem") / "unpacked"
        # What unpacks the weights belongs to what they are.
        identity = f"{_digest(file)} transformers {transformers.__version__}"
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

    def make(self, *, trust_remote_code: bool) -> Path | None:
        """Unpack the file into the entry, whole or not at all.

        Returns:
            Its folder; None where it is not kept: too large, no room, or no cache that can be written.
        """
        size = self._file.stat().st_size
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            if size > LARGEST_FILE_BYTES or shutil.disk_usage(self._root).free < 2 * GROWTH * size:
                return None
            with tempfile.TemporaryDirectory(dir=self._root, prefix=".writing-") as scratch:
                made = Path(scratch) / "entry"
                made.mkdir()
                self._write(made, trust_remote_code)
                shutil.rmtree(self._folder, ignore_errors=True)  # one that was damaged
                made.rename(self._folder)
            _make_room(self._root, keep=self._folder)
        except OSError:
            return None
        return self._folder

    def _write(self, folder: Path, trust_remote_code: bool) -> None:
        from safetensors.torch import save_model

        asked: dict[str, Any] = {"gguf_file": self._file.name, "trust_remote_code": trust_remote_code}
        load: Any = transformers.AutoModelForCausalLM.from_pretrained
        model, found = load(
            str(self._file.parent),
            dtype="float32",
            quantization_config=transformers.GgufConfig(dequantize=True),
            output_loading_info=True,
            **asked,
        )
        if found["missing_keys"]:  # said by whoever loads the file itself
            raise OSError("weights are missing")
        save_model(model, str(folder / "model.safetensors"), metadata={"format": "pt"})
        described: Mapping[str, Any] = model.config.to_dict()
        (folder / "config.json").write_text(json.dumps(dict(described), default=str), encoding="utf-8")
        model.generation_config.save_pretrained(folder)
        transformers.AutoTokenizer.from_pretrained(str(self._file.parent), **asked).save_pretrained(folder)
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
