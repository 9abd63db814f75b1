"""Kinds of things that plugins register, and the registry as plugins see it: in the contexts that they receive."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar


class Spec(Protocol):
    """The part that all specs have in common."""

    @property
    def name(self) -> str:
        """The word by which it is asked for; unique among the specs of its kind."""

    @property
    def api_version(self) -> int:
        """The `API_VERSION` that it was written for."""

    @property
    def summary(self) -> str:
        """One line for `llem plugins`."""


S = TypeVar("S", bound=Spec)


@dataclass(frozen=True, eq=False)
class HookKind(Generic[S]):
    """One kind of thing that plugins register: a row of `llem.specs.kinds`, and the key to its specs.

    Attributes:
        word: its name for people, and in `llem plugins --json`.
        hook: the function that a plugin implements; returns a sequence of specs.
        spec: the type of its specs.
        packaged: distributions are named after what they bring, so that an unknown NAME may come with `llem-NAME`.
    """

    word: str
    hook: str
    spec: type[S]
    packaged: bool = False


@dataclass
class Plugin:
    """One registered plugin, or one that was set aside.

    Attributes:
        name: of its entry point.
        distribution: name of the distribution that brought it.
        version: of that distribution.
        set_aside: why it is not used, or None.
        provides: names by the word of their kind, filled in as kinds are asked for.
    """

    name: str
    distribution: str
    version: str
    set_aside: str | None = None
    provides: dict[str, list[str]] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Its distribution and version, for messages."""
        return f"{self.distribution} {self.version}"


class SpecRegistry(Protocol):
    """Everything that is registered. `llem.plugins.Registry` is one; contexts carry it, so that nothing asks for a global one."""

    def __getitem__(self, kind: HookKind[S]) -> Mapping[str, S]:
        """The specs of a kind by name, in the order in which they were registered."""

    def find(self, kind: HookKind[S], name: str) -> S:
        """The spec of this name. Raises PluginError with the nearest name, or why its plugin was set aside."""

    def provider(self, kind: HookKind[Any], name: str) -> Plugin:
        """The plugin that brought a spec. Raises KeyError where there is none of this name."""

    def plugins(self) -> Sequence[Plugin]:
        """Every plugin, the set-aside ones last, with all that each provides."""


def missing_requirements(requires: Sequence[str]) -> list[str]:
    """The import names that are not present here, found without importing them."""
    missing = []
    for name in requires:
        try:
            present = importlib.util.find_spec(name) is not None
        except (ImportError, ValueError):
            present = False
        if not present:
            missing.append(name)
    return missing
