"""Options whose values are what is registered."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import click

from llem.plugins import Registry
from llem.specs.registry import HookKind, Spec

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

S = TypeVar("S", bound=Spec)


class Registered(click.ParamType, Generic[S]):  # type: ignore[type-arg]  # click 8.1 has no parameter there
    """A name among the specs of a kind; the command gets the spec."""

    def __init__(self, kind: HookKind[S]) -> None:
        self._kind = kind
        self.name = kind.word

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> S:
        """The spec of this name. Raises PluginError with the nearest name, or why its plugin was set aside."""
        return value if isinstance(value, self._kind.spec) else registry_of(ctx).find(self._kind, str(value))

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        """The names that begin so."""
        return offered(registry_of(ctx)[self._kind].values(), incomplete)


def offered(specs: Iterable[Spec], typed: str) -> list[CompletionItem[str]]:
    """The specs whose names begin as what is typed."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(spec.name, help=spec.summary) for spec in specs if spec.name.startswith(typed)]


def registry_of(context: click.Context | None) -> Registry:
    """The registry of a command line."""
    registry = context.find_object(Registry) if context is not None else None
    assert registry is not None, "llem.cli.invoke makes the context with one"
    return registry
