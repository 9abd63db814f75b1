"""From the one name that an author gives to all names of a distribution, and whether it can be one."""

from __future__ import annotations

import importlib.metadata
import re
from dataclasses import dataclass
from typing import Any, Literal

from llem.plugin_api import BACKENDS, CHECKS, RUNNERS, SAMPLERS, ConfigError, HookKind, Registry

Kind = Literal["backend", "runner", "sampler", "check"]

REGISTERED_AS: dict[Kind, HookKind[Any]] = {
    "backend": BACKENDS,
    "runner": RUNNERS,
    "sampler": SAMPLERS,
    "check": CHECKS,
}
"""Kind of a template to the registry's."""

_ARTICLES = {"backend": "a", "runner": "a", "sampler": "an", "check": "a"}

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST = 40
_LLEMS_OWN = frozenset(
    {"pytorch", "vllm", "sglang", "trtllm", "openai", "zeus", "codecarbon", "webhook", "docker", "slurm", "ray"}
)
"""Distributions of llem's own, installed or not."""


@dataclass(frozen=True)
class Names:
    """The names of one plugin in each place.

    Attributes:
        kind: of plugin.
        name: as the author gave it, `my-engine`.
    """

    kind: Kind
    name: str

    @property
    def distribution(self) -> str:
        """On the package index."""
        return f"llem-{self.name}"

    @property
    def package(self) -> str:
        """In Python's imports."""
        return self.distribution.replace("-", "_")

    @property
    def word(self) -> str:
        """In a study, and in `llem plugins`. A backend and a runner are keys and parts of variables' names there."""
        return self.name.replace("-", "_") if self.kind in ("backend", "runner") else self.name

    @property
    def prefix(self) -> str:
        """Of its classes."""
        return "".join(part.capitalize() for part in self.name.split("-"))


def names_for(name: str, kind: Kind, registry: Registry) -> Names:
    """The names of a new plugin.

    Args:
        name: with or without `llem-` before it.
        kind: of plugin.
        registry: what is installed.

    Raises:
        ConfigError: the name is none, or is taken.
    """
    given = name.removeprefix("llem-")
    if not _NAME.fullmatch(given) or len(given) > _LONGEST:
        suggestion = re.sub(r"[^a-z0-9]+", "-", given.lower()).strip("-")[:_LONGEST].strip("-")
        hint = f"Such as {suggestion}." if _NAME.fullmatch(suggestion) else "Such as my-meter."
        raise ConfigError(
            f"`{name}` is no name for a plugin: it takes small letters, digits and single hyphens, begins with a letter "
            f"and has at most {_LONGEST} characters.",
            where="NAME",
            remedy=hint,
        )
    names = Names(kind, given)
    _refuse_taken(names, registry)
    return names


def _refuse_taken(names: Names, registry: Registry) -> None:
    from llem.plugin_api import SECTIONS, STUDY_KEYS, ExperimentConfig

    kind = REGISTERED_AS[names.kind]
    if names.kind == "backend" and names.word in {*SECTIONS, *STUDY_KEYS, *ExperimentConfig.model_fields}:
        raise ConfigError(
            f"`{names.word}` is a key of every study, and a backend's section could not be told from it.",
            where="NAME",
            remedy="Choose another name.",
        )
    if names.word in registry[kind]:
        owner = registry.provider(kind, names.word).label
        raise ConfigError(
            f"there is {_ARTICLES[names.kind]} {kind.word} `{names.word}` already: {owner}.",
            where="NAME",
            remedy="Choose another name; two plugins that claim one name exclude each other.",
        )
    try:
        taken = importlib.metadata.distribution(names.distribution).version
    except importlib.metadata.PackageNotFoundError:
        taken = "of llem itself" if names.name in _LLEMS_OWN else ""
    if taken:
        raise ConfigError(
            f"there is a distribution {names.distribution} already ({taken}).",
            where="NAME",
            remedy="Choose another name.",
        )
