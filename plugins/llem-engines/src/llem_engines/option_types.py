"""Annotations of an engine's options as facts for a schema: the values that a study may give, and the default.

Types become JSON Schema as far as a study can write a value down: a class, a function or a torch dtype cannot stand in YAML, and such
branches of a type are left out.
"""

from __future__ import annotations

import dataclasses
import enum
import inspect
import json
import re
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Values = dict[str, Any]
"""JSON Schema of what a study may write."""

PLAIN: Mapping[type, str] = {bool: "boolean", int: "integer", float: "number", str: "string", Path: "string"}
NOTHING: Values = {"type": "null"}


def branches(hint: Any) -> list[Any]:
    """The alternatives of a type, without what only adds to it."""
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        return branches(typing.get_args(hint)[0])
    if origin in (typing.Union, types.UnionType):
        return [leaf for one in typing.get_args(hint) for leaf in branches(one)]
    if isinstance(hint, typing.TypeAliasType if hasattr(typing, "TypeAliasType") else ()):
        return branches(hint.__value__)
    return [hint]


def values(hint: Any) -> Values | None:
    """The values of a type that YAML can hold; None where there are none."""
    options: list[Values] = []
    for one in branches(hint):
        option = _option(one)
        if option is not None and option not in options:
            options.append(option)
    options.sort(key=lambda one: one == NOTHING)
    if not [one for one in options if one != NOTHING]:
        return None
    return options[0] if len(options) == 1 else {"anyOf": options}


def with_default(found: Values, default: Any) -> Values:
    """The values and the default: one that the type does not take still is what a study gets without the key."""
    if default is not None or _takes_null(found):
        return found
    return {"anyOf": [*found.get("anyOf", [found]), NOTHING]}


def choices(found: Mapping[str, Any]) -> Iterator[Any]:
    """The values that are named one by one."""
    yield from found.get("enum", ())
    for option in found.get("anyOf", ()):
        yield from choices(option)


def plain(default: Any) -> Any:
    """A default as plain data; text where it is none."""
    if isinstance(default, enum.Enum):
        return default.name
    if isinstance(default, (set, frozenset, tuple)):
        default = sorted(default) if isinstance(default, (set, frozenset)) else list(default)
    try:
        return json.loads(json.dumps(default, allow_nan=False))
    except (TypeError, ValueError):
        return None if dataclasses.is_dataclass(default) else repr(default)


def written(hint: Any) -> str:
    """An annotation as text, the same in every process."""
    text = re.sub(r"\b(?:typing|collections\.abc|types)\.", "", inspect.formatannotation(hint))
    return re.sub(r" at 0x[0-9a-f]+", "", text)


def _option(hint: Any) -> Values | None:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is None or hint is types.NoneType:
        return NOTHING
    if hint is Any or isinstance(hint, typing.TypeVar):
        return {}
    if origin is typing.Literal:
        return {"enum": [one for one in inner if one is not None]}
    if hint in PLAIN:
        return {"type": PLAIN[hint]}
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return {"enum": [member.name for member in hint]}
    kind = origin or hint
    if not isinstance(kind, type):
        return None
    if issubclass(kind, (list, tuple, set, frozenset)) or kind.__name__ in ("Sequence", "Iterable"):
        items = values(inner[0]) if inner else {}
        return None if items is None else {"type": "array", "items": items}
    if issubclass(kind, dict) or kind.__name__ in ("Mapping", "MutableMapping"):
        inside = values(inner[1]) if len(inner) == 2 else None
        return {"type": "object", "additionalProperties": inside} if inside else {"type": "object"}
    return None


def _takes_null(found: Values) -> bool:
    return found in ({}, NOTHING) or any(_takes_null(one) for one in found.get("anyOf", ()))
