"""Recipes of images: a backend brings its own in the folder `image/` of the package that holds its engine.

The defaults of a Dockerfile's arguments are the one place where base, engine version and CUDA version are written down.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from llem.plugin_api import BACKENDS, PluginError, Registry

REGISTRY = "ghcr.io/llenergymeasure"
TARGETS = ("cuda", "cpu")
_ARG = re.compile(r"^ARG\s+(\w+)(?:=(\S*))?\s*$")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The recipe of a backend's image.

    Attributes:
        backend: its name.
        distribution: what brought the backend, such as `llem-vllm`; version: of it, which is llem's own.
        folder: holds `Dockerfile` and `entrypoint.sh`.
        arguments: the Dockerfile's arguments with their defaults.
    """

    backend: str
    distribution: str
    version: str
    folder: Path
    arguments: Mapping[str, str]

    @property
    def engine_version(self) -> str:
        """The engine version that the image has unless another is asked for."""
        return self.arguments["ENGINE_VERSION"]

    def cuda(self, target: str) -> str:
        """The CUDA version that the engine is built for, such as `13.0`; empty for a CPU."""
        return self.arguments["CUDA_VERSION"] if target == "cuda" else ""

    def base(self, target: str) -> str:
        """The image that it starts from."""
        return self.arguments["BASE" if target == "cuda" else "CPU_BASE"]

    def tag(self, target: str, engine_version: str | None = None) -> str:
        """The reference of the image: `ghcr.io/llenergymeasure/vllm:0.1.0-cuda13`, or `…-cpu`.

        With an engine version that is not the default, its name follows: `…:0.1.0-cuda13-vllm0.31.0`.
        """
        kind = f"cuda{self.cuda(target).partition('.')[0]}" if target == "cuda" else target
        other = engine_version not in (None, self.engine_version)
        return f"{REGISTRY}/{self.backend}:{self.version}-{kind}{f'-{self.backend}{engine_version}' if other else ''}"


def recipes(registry: Registry) -> dict[str, Recipe]:
    """The recipes of all installed backends that bring one, by backend. No engine is imported."""
    found: dict[str, Recipe] = {}
    for name, spec in registry[BACKENDS].items():
        folder = _folder(spec.engine)
        if folder is None:
            continue
        plugin = registry.provider(BACKENDS, name)
        found[name] = Recipe(
            backend=name,
            distribution=plugin.distribution,
            version=plugin.version,
            folder=folder,
            arguments=arguments_of((folder / "Dockerfile").read_text(encoding="utf-8")),
        )
    return found


def recipe(registry: Registry, backend: str) -> Recipe:
    """The recipe of one backend.

    Raises:
        PluginError: no such backend is installed, or it brings no image; names the ones that do.
    """
    found = recipes(registry)
    if backend in found:
        return found[backend]
    registry.find(BACKENDS, backend)  # says what is wrong where there is no such backend at all
    having = ", ".join(sorted(found)) or "none"
    raise PluginError(f"the backend `{backend}` brings no image. Backends that do: {having}.")


def arguments_of(dockerfile: str) -> dict[str, str]:
    """The arguments of a Dockerfile that stand before its first stage, with their defaults."""
    found: dict[str, str] = {}
    for line in dockerfile.splitlines():
        if line.startswith("FROM "):
            break
        if match := _ARG.match(line):
            found[match[1]] = match[2] or ""
    return found


def _folder(engine: str) -> Path | None:
    """`image/` of the top package of `package.module:Class`, if it holds a Dockerfile."""
    spec = importlib.util.find_spec(engine.partition(":")[0].partition(".")[0])
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(place) / "image"
        if (folder / "Dockerfile").is_file():
            return folder
    return None
