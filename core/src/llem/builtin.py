"""Registrations of llem itself, by the same hooks as any plugin's. What is registered stands in `builtin.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from llem.hookspecs import API_VERSION, hookimpl
from llem.specs.kinds import KINDS
from llem.specs.registry import HookKind

_SETS = frozenset({"methods", "needs", "placements", "scopes", "yields_to"})
"""Fields of specs that are sets; other lists are tuples."""

_ROWS: Mapping[str, Sequence[Mapping[str, Any]]] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))


def _frozen(key: str, value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return frozenset(value) if key in _SETS else tuple(value)


def _hook(kind: HookKind[Any]) -> Callable[[], Sequence[Any]]:
    """The implementation of a kind's hook: a spec for each of its rows."""

    def specs() -> Sequence[Any]:
        rows = [{key: _frozen(key, value) for key, value in row.items()} for row in _ROWS[kind.hook]]
        return [kind.spec(api_version=API_VERSION, **row) for row in rows]

    return hookimpl(specs)


globals().update({kind.hook: _hook(kind) for kind in KINDS if kind.hook in _ROWS})
