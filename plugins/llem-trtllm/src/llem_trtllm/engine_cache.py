"""Engines that TensorRT built, in the user's cache folder: built once for a model, a build and a kind of GPU, and verified before use.

An entry is a folder named by the hash of what it was built from. It holds `engine/`, and `entry.json` with what it was built from, what
building took, and size and hash of every file. An entry whose inputs or files are not what that says is removed and built anew.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import platformdirs

from llem.plugin_api import ModelError, parse_json, write_json

ENTRY, ENGINE = "entry.json", "engine"
_SCHEMA = 1


@dataclass(frozen=True)
class Inputs:
    """All that makes a built engine another one.

    Attributes:
        version: of TensorRT-LLM.
        tensorrt: version of TensorRT itself.
        build: the arguments that shape it.
        model: identity of the weights: a hub's commit, or the hash of what the files hold.
        gpus: the kind of each GPU that it is built for, in order: compute capability and name.
    """

    version: str
    tensorrt: str
    build: Mapping[str, Any]
    model: str
    gpus: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """The inputs as plain data, as they stand in an entry."""
        found: dict[str, Any] = json.loads(json.dumps({"schema": _SCHEMA, **asdict(self)}, sort_keys=True))
        return found

    def key(self) -> str:
        """The name of their entry."""
        text = json.dumps(self.document(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Cost:
    """The cost of a build.

    Attributes:
        seconds: from the start of the build to the engine on disk.
        joules: of the GPUs it was built on, by their own counters; None where they have none.
    """

    seconds: float
    joules: float | None


@dataclass(frozen=True)
class Entry:
    """An engine that may be loaded.

    Attributes:
        folder: of the engine.
        cost: of its building, whenever that was.
        origin: `built` now, or `cached`.
        why: the reason for which an entry that was there was not used; empty where there was none, or it was used.
    """

    folder: Path
    cost: Cost
    origin: Literal["built", "cached"]
    why: str = ""


Build = Callable[[Path], Cost]
"""Builds an engine into a folder that does not exist yet."""


def root() -> Path:
    """The folder of all entries."""
    return platformdirs.user_cache_path("llem") / "trtllm-engines"


def entry_for(inputs: Inputs, build: Build, at: Path | None = None) -> Entry:
    """The engine of these inputs; built where there is none, or none that can be trusted. Two runs do not build one engine twice.

    Raises:
        ModelError: the cache folder cannot be written. What `build` raises is passed on, and leaves nothing.
    """
    base = at or root()
    folder = base / inputs.key()
    try:
        base.mkdir(parents=True, exist_ok=True)
        with _locked(base / f"{inputs.key()}.lock"):
            why = problem_of(folder, inputs) if folder.exists() else ""
            if folder.exists() and not why:
                return Entry(folder / ENGINE, _cost(folder), "cached")
            shutil.rmtree(folder, ignore_errors=True)
            cost = _built(folder, inputs, build)
            return Entry(folder / ENGINE, cost, "built", why)
    except OSError as error:
        raise ModelError(
            f"the engine cannot be kept: {error.strerror or error}.",
            where=str(base),
            remedy="Make room there, or set XDG_CACHE_HOME to another folder.",
        ) from error


def problem_of(folder: Path, inputs: Inputs) -> str:
    """The reason for which an entry may not be used; empty where it is what it says, and was built from these inputs."""
    try:
        told = parse_json((folder / ENTRY).read_bytes())
    except (OSError, ValueError) as error:
        return f"its {ENTRY} cannot be read: {error}"
    if not isinstance(told, dict) or told.get("inputs") != inputs.document():
        return "it was built from something else"
    if not _is_cost(told.get("cost")):
        return "it does not say what building took"
    files = told.get("files")
    if not isinstance(files, dict) or not files:
        return "it names no files"
    try:
        found = _files(folder / ENGINE)
    except OSError as error:
        return f"its files cannot be read: {error}"
    if found.keys() != files.keys():
        return "files of it are missing, or were added"
    changed = [name for name, facts in found.items() if facts != files[name]]
    return f"{changed[0]} is not what was built" if changed else ""


def _built(folder: Path, inputs: Inputs, build: Build) -> Cost:
    """Build beside the place of the entry, and move it there once it is whole."""
    partial = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", suffix=".partial", dir=folder.parent))
    try:
        cost = build(partial / ENGINE)
        document = {"inputs": inputs.document(), "cost": asdict(cost), "files": _files(partial / ENGINE)}
        write_json(partial / ENTRY, document)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return cost


def _cost(folder: Path) -> Cost:
    return Cost(**json.loads((folder / ENTRY).read_bytes())["cost"])


def _is_cost(told: Any) -> bool:
    if not isinstance(told, dict) or told.keys() != {"seconds", "joules"}:
        return False
    numbers = [told["seconds"]] if told["joules"] is None else [told["seconds"], told["joules"]]
    return all(isinstance(one, int | float) and not isinstance(one, bool) and one >= 0 for one in numbers)


def _files(folder: Path) -> dict[str, list[Any]]:
    """Size and hash of every file below, by its path."""
    found: dict[str, list[Any]] = {}
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        with path.open("rb") as file:
            found[str(path.relative_to(folder))] = [
                path.stat().st_size,
                hashlib.file_digest(file, "sha256").hexdigest(),
            ]
    return found


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Wait for whoever builds the same engine. The lock ends with its process, however that ends."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
