"""Reads every option out of the installed SGLang. The only part of the schema that imports SGLang.

`llem_engines.option_types` makes facts of its types and defaults.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from sglang.srt.sampling.sampling_params import SamplingParams
from sglang.srt.server_args import ServerArgs
from sglang.version import __version__

from llem_engines import option_types

Raw = dict[str, Any]


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
        value, choices = option_types.values(hint), _choices_of(told)
        found: Raw = {"name": name, "type": option_types.written(hint), "default": option_types.plain(default)}
        if value is not None:
            if choices and not any(True for _ in option_types.choices(value)):
                value = _named(value, choices)
            found["value"] = option_types.with_default(value, default)
        if choices := choices or [one for one in option_types.choices(value or {}) if one is not None]:
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


def _named(value: Raw, choices: list[Any]) -> Raw:
    """The same values, of which text is one of the choices."""
    if "anyOf" in value:
        return {"anyOf": [_named(one, choices) for one in value["anyOf"]]}
    fitting = [one for one in choices if one is not None and option_types.PLAIN.get(type(one)) == value.get("type")]
    return {"enum": fitting} if fitting else value
