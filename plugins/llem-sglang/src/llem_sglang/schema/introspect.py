"""Reads every option out of the installed SGLang. The only part of the schema that imports SGLang.

Types become JSON Schema as far as a study can write a value down: a class or a function cannot stand in YAML, and such branches of
a type are left out.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
from sglang.srt.sampling.sampling_params import SamplingParams
from sglang.srt.server_args import ServerArgs
from sglang.version import __version__

Raw = dict[str, Any]

_PLAIN = {bool: "boolean", int: "integer", float: "number", str: "string"}
_NOTHING = {"type": "null"}


def introspect() -> Raw:
    """`sglang` (the version) and the two groups of fields, as they are in this environment; `description` is SGLang's help text."""
    return {
        "sglang": __version__.partition("+")[0],
        "engine": list(_fields(ServerArgs)),
        "sampling": list(_fields(SamplingParams)),
    }


def _fields(owner: Any) -> Iterator[Raw]:
    hints = typing.get_type_hints(owner, include_extras=True)
    for name, default in _defaults(owner):
        hint, told = _told(hints[name])
        value, choices = _value(hint), _choices_of(told)
        found: Raw = {"name": name, "type": _written(hint), "default": _plain(default)}
        if value is not None:
            if choices and not any(True for _ in _names(value)):
                value = _named(value, choices)
            # A default that the type does not take still is what a study gets without the key.
            found["value"] = value if default is not None or _takes_null(value) else _nullable(value)
        if choices := choices or [one for one in _names(value or {}) if one is not None]:
            found["choices"] = choices
        found["description"] = _help_of(told)
        yield found


def _defaults(owner: Any) -> Iterator[tuple[str, Any]]:
    """Every field with its default; None where it has none."""
    if dataclasses.is_dataclass(owner):
        for field in dataclasses.fields(owner):
            yield field.name, _made(field.default, field.default_factory, dataclasses.MISSING)
    else:
        for one in msgspec.structs.fields(owner):
            yield one.name, _made(one.default, one.default_factory, msgspec.NODEFAULT)


def _made(default: Any, factory: Any, nothing: Any) -> Any:
    if default is not nothing:
        return default
    return None if factory is nothing else factory()


def _told(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """A type, and what its annotation says beside it."""
    if typing.get_origin(hint) is typing.Annotated:
        inner, *told = typing.get_args(hint)
        return inner, tuple(told)
    return hint, ()


def _choices_of(told: Iterable[Any]) -> list[Any]:
    for one in told:
        if (found := getattr(one, "choices", None)) is not None and not isinstance(one, str):
            return list(found() if callable(found) else found)
    return []


def _help_of(told: Iterable[Any]) -> str:
    for one in told:
        text = one if isinstance(one, str) else getattr(one, "help", None)
        if isinstance(text, str):
            return " ".join(text.split())
    return ""


def _branches(hint: Any) -> list[Any]:
    """The alternatives of a type, without what only adds to it."""
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        return _branches(typing.get_args(hint)[0])
    if origin in (typing.Union, types.UnionType):
        return [leaf for one in typing.get_args(hint) for leaf in _branches(one)]
    return [hint]


def _value(hint: Any) -> Raw | None:
    """The values of a type that YAML can hold, as JSON Schema; None where there are none."""
    options: list[Raw] = []
    for one in _branches(hint):
        option = _option(one)
        if option is not None and option not in options:
            options.append(option)
    options.sort(key=lambda one: one == _NOTHING)
    if not [one for one in options if one != _NOTHING]:
        return None
    return options[0] if len(options) == 1 else {"anyOf": options}


def _option(hint: Any) -> Raw | None:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is None or hint is types.NoneType:
        return _NOTHING
    if hint is Any:
        return {}
    if origin is typing.Literal:
        return {"enum": [one for one in inner if one is not None]}
    if hint in _PLAIN:
        return {"type": _PLAIN[hint]}
    kind = origin or hint
    if not isinstance(kind, type):
        return None
    if issubclass(kind, (list, tuple, set, frozenset)):
        items = _value(inner[0]) if inner else {}
        return None if items is None else {"type": "array", "items": items}
    if issubclass(kind, dict):
        values = _value(inner[1]) if len(inner) == 2 else None
        return {"type": "object", "additionalProperties": values} if values else {"type": "object"}
    return None


def _named(value: Raw, choices: list[Any]) -> Raw:
    """The same values, of which text is one of the choices."""
    if "anyOf" in value:
        return {"anyOf": [_named(one, choices) for one in value["anyOf"]]}
    fitting = [one for one in choices if one is not None and _PLAIN.get(type(one)) == value.get("type")]
    return {"enum": fitting} if fitting else value


def _names(value: Mapping[str, Any]) -> Iterator[Any]:
    yield from value.get("enum", ())
    for option in value.get("anyOf", ()):
        yield from _names(option)


def _takes_null(value: Raw) -> bool:
    return value in ({}, _NOTHING) or any(_takes_null(one) for one in value.get("anyOf", ()))


def _nullable(value: Raw) -> Raw:
    return {"anyOf": [*value.get("anyOf", [value]), _NOTHING]}


def _plain(default: Any) -> Any:
    """A default as plain data; text where it is none."""
    if isinstance(default, (set, frozenset, tuple)):
        default = sorted(default) if isinstance(default, (set, frozenset)) else list(default)
    try:
        return json.loads(json.dumps(default, allow_nan=False))
    except (TypeError, ValueError):
        return repr(default)


def _written(hint: Any) -> str:
    """The annotation as text without what only adds to it, the same in every process."""
    text = re.sub(r"\b(?:typing|collections\.abc|types)\.", "", inspect.formatannotation(hint))
    return re.sub(r" at 0x[0-9a-f]+", "", text)
