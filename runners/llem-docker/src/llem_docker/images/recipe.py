"""Recipes of images: a backend brings what is its own in the folder `image/` of the package that holds its engine.

Its name is in the backend's spec. Everything else is written down once, as the defaults of the Dockerfile's arguments.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from llem.plugin_api import BACKENDS, BackendSpec, ConfigError, PluginError, SpecRegistry
from llem_containers.names import CPU, CUDA, name_of
from llem_docker.images.distributions import worker_distributions
from llem_docker.images.names import names_of, repository, varied

SHARED = Path(__file__).parent / "shared"
"""The parts that all images have in common."""

LAST = SHARED / "Dockerfile.last"
"""The part of a Dockerfile that llem appends to a backend's."""

_ARG = re.compile(r"^ARG\s+(\w+)(?:=(\S*))?\s*$")
_FROM = re.compile(r"^FROM\s", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The recipe of a backend's image.

    Attributes:
        spec: of the backend.
        distribution: what brought the backend, such as `llem-vllm`.
        version: of that distribution.
        folder: holds the Dockerfile and whatever it copies.
        arguments: those that the Dockerfile declares before its first stage, with their defaults.
        installed: the distributions that go into the image as they are installed here.
    """

    spec: BackendSpec
    distribution: str
    version: str
    folder: Path
    arguments: Mapping[str, str]
    installed: Sequence[str]

    @property
    def backend(self) -> str:
        """The backend's name."""
        return self.spec.name

    @property
    def engine_version(self) -> str:
        """The engine version that the image has unless another is asked for; empty where the Dockerfile names none."""
        return self.arguments.get("ENGINE_VERSION", "")

    @property
    def targets(self) -> Sequence[str]:
        """The kinds of machine that it is named for: `cuda` and `cpu`, or `any`."""
        return tuple(names_of(self.spec))

    def cuda(self, target: str) -> str:
        """The CUDA version that the engine is built for, such as `13.0`; empty for a CPU."""
        return self.arguments.get("CUDA_VERSION", "") if target == CUDA else ""

    def declared(self) -> list[str]:
        """Every argument that a build may set, in any stage: the backend's own, and those that all images have."""
        texts = (file.read_text(encoding="utf-8") for file in (self.folder / "Dockerfile", LAST))
        return list(dict.fromkeys(name for text in texts for name in re.findall(r"^ARG\s+(\w+)", text, re.MULTILINE)))

    def base_argument(self, target: str) -> str:
        """The argument that holds the image to start from."""
        return "CPU_BASE" if target == CPU and "CPU_BASE" in self.arguments else "BASE"

    def tag(self, target: str, engine_version: str | None = None, cuda: str | None = None) -> str:
        """The reference of the image, which is the one that a run takes.

        Args:
            target: `cuda` or `cpu`.
            engine_version: where it is not the default, the name is another: `…-cuda13-vllm0.31.0`.
            cuda: the same, `…-cuda13-cuda12.9`.

        Raises:
            ConfigError: the backend names no image, or one by its digest, which no build can have.
        """
        name = name_of(self.spec.image, self.spec.cpu_image, target)
        if name is None:
            raise ConfigError(
                f"the backend `{self.backend}` names no image for the target `{target}`.",
                remedy="Name this one with --tag; a run takes it as docker:NAME. Its author sets `image` in the BackendSpec.",
            )
        if "@" in name:
            raise ConfigError(
                f"the backend `{self.backend}` names its image by a digest, {name}, which no build can have.",
                remedy="Name this one with --tag, and let a run take it as docker:NAME.",
            )
        parts = []
        if engine_version not in (None, self.engine_version):
            parts.append(f"{self.backend}{engine_version}")
        if cuda not in (None, self.cuda(target)):
            parts.append(f"cuda{cuda}")
        return varied(name, parts) if parts else name


def recipes(registry: SpecRegistry) -> dict[str, Recipe]:
    """The recipes of all installed backends that bring one, by backend. No engine is imported."""
    found: dict[str, Recipe] = {}
    for name, spec in registry[BACKENDS].items():
        folder = _folder(spec.engine)
        if folder is None:
            continue
        plugin = registry.provider(BACKENDS, name)
        found[name] = Recipe(
            spec=spec,
            distribution=plugin.distribution,
            version=plugin.version,
            folder=folder,
            arguments=arguments_of((folder / "Dockerfile").read_text(encoding="utf-8")),
            installed=worker_distributions(registry, plugin.distribution),
        )
    return found


def recipe(registry: SpecRegistry, backend: str) -> Recipe:
    """The recipe of one backend.

    Raises:
        PluginError: no such backend is installed, or it brings no image; names the ones that do.
    """
    found = recipes(registry)
    if backend in found:
        return found[backend]
    registry.find(BACKENDS, backend)  # says what is wrong where there is no such backend at all
    having = ", ".join(sorted(found)) or "none"
    raise PluginError(
        f"the backend `{backend}` brings no image to build: its package has no image/Dockerfile. Backends that do: {having}."
    )


def builder_of(image: str, recipes: Mapping[str, Recipe]) -> Recipe | None:
    """The recipe whose image is called so, whatever the tag; None where it is nobody's."""
    place = repository(image)
    for found in recipes.values():
        if place in map(repository, names_of(found.spec).values()):
            return found
    return None


def arguments_of(dockerfile: str) -> dict[str, str]:
    """The arguments of a Dockerfile that stand before its first stage, with their defaults."""
    found: dict[str, str] = {}
    for line in dockerfile.splitlines():
        if _FROM.match(line):
            break
        if match := _ARG.match(line):
            found[match[1]] = (match[2] or "").strip("\"'")
    return found


def dockerfile_of(recipe: Recipe) -> str:
    """The whole Dockerfile: the backend's own, and after it what all images have in common.

    Facts that are known where the context is written are defaults of arguments, so that any builder labels the image right.
    """
    own = (recipe.folder / "Dockerfile").read_text(encoding="utf-8").rstrip("\n")
    facts = {
        "LLEM_VERSION": importlib.metadata.version("llem"),
        "LLEM_BACKEND": recipe.backend,
        "PLUGIN_VERSION": recipe.version,
        "PLUGIN_LICENSE": _licence(recipe.distribution),
    }
    lines = [f"ARG {name}={value}" for name, value in facts.items()]
    for name, default in (("TARGET", "any"), ("ENGINE", ""), ("ENGINE_VERSION", "")):
        # Without a value an argument takes the one from before the first stage.
        lines.append(f"ARG {name}" if name in recipe.arguments else f"ARG {name}={default}")
    return "\n".join([own, "", *lines, "", LAST.read_text(encoding="utf-8")])


def _licence(distribution: str) -> str:
    """The SPDX expression of a distribution, in quotes; empty where it states none."""
    (stated, *_) = importlib.metadata.metadata(distribution).get_all("License-Expression") or [""]
    return f'"{stated}"'


def _folder(engine: str) -> Path | None:
    """`image/` of the top package of `package.module:Class`, if it holds a Dockerfile."""
    spec = importlib.util.find_spec(engine.partition(":")[0].partition(".")[0])
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(place) / "image"
        if (folder / "Dockerfile").is_file():
            return folder
    return None
