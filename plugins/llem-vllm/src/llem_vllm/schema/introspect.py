"""Reads every option out of the installed vLLM. The only part of the schema that imports vLLM.

`llem_engines.option_types` makes facts of its types and defaults.
"""

from __future__ import annotations

import ast
import builtins
import dataclasses
import inspect
import re
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import vllm
import vllm.config
import vllm.envs
from vllm.config.utils import get_attr_docs
from vllm.engine.arg_utils import EngineArgs
from vllm.sampling_params import SamplingParams

from llem_engines import option_types

Raw = dict[str, Any]

_BOUNDS = {"ge": "minimum", "le": "maximum", "gt": "exclusiveMinimum", "lt": "exclusiveMaximum"}
_ABSENT = object()
_COMPUTED = object()
"""Stands for a default that vLLM computes: no fact that could be written down."""
_DEPTH = 2
"""Parts inside parts are listed so deep; below that they are mappings."""


def introspect() -> Raw:
    """`vllm` (the version) and the three groups of fields, as they are in this environment; `description` is vLLM's help text."""
    return {
        "vllm": vllm.__version__.partition("+")[0],
        "engine": list(_engine()),
        "sampling": list(_sampling()),
        "environment": list(_environment()),
    }


def _engine() -> Iterator[Raw]:
    # EngineArgs takes a mapping here and makes the class of it, with the model's own configuration.
    hints = _hints(EngineArgs) | {"speculative_config": vllm.config.SpeculativeConfig | None}
    texts, bounds = _documented()
    for field in dataclasses.fields(EngineArgs):
        name = field.name
        named = _unnamed_choices(name)
        yield _field(name, hints[name], _default(field), texts.get(name, ""), bounds.get(name, {}), named)


class _Names(dict[str, Any]):
    """Names of a module for its annotations; some are imported for type checkers only, and vLLM's configuration has most."""

    def __missing__(self, name: str) -> Any:
        if hasattr(builtins, name):
            raise KeyError(name)
        return getattr(vllm.config, name, Any)


def _hints(owner: Any) -> dict[str, Any]:
    """The annotations of a class and its bases, evaluated one by one."""
    found: dict[str, Any] = {}
    for base in reversed(owner.__mro__):
        names = _Names(vars(sys.modules[base.__module__]))
        for name, hint in inspect.get_annotations(base).items():
            # vLLM's own annotations: code of a package that this process has imported already.
            found[name] = eval(hint, {}, names) if isinstance(hint, str) else hint
    return found


def _documented() -> tuple[dict[str, str], dict[str, dict[str, float]]]:
    """Descriptions and bounds of the configuration classes, by the name of the option that they stand behind.

    EngineArgs says neither; its command-line parser takes both from these classes, option by option.
    """
    texts: dict[str, str] = {}
    bounds: dict[str, dict[str, float]] = {}
    source = inspect.getsource(EngineArgs.add_cli_args)
    # `group.add_argument("--block-size", **cache_kwargs["block_size"])`, `cache_kwargs = get_kwargs(CacheConfig)`
    classes = dict(re.findall(r"(\w+) = get_kwargs\((\w+)\)", source))
    for flag, table, attribute in re.findall(r"\"--([\w-]+)\",[^()]*?\*\*(\w+)\[\s*\"(\w+)\"\s*\]", source):
        owner = getattr(vllm.config, classes.get(table, ""), None)
        if owner is not None:
            name = flag.replace("-", "_")
            texts[name] = get_attr_docs(owner).get(attribute, "")
            bounds[name] = _bounds_of(owner, attribute)
    for owner in _config_classes():
        for field in dataclasses.fields(owner):
            texts.setdefault(field.name, get_attr_docs(owner).get(field.name, ""))
            bounds.setdefault(field.name, _bounds_of(owner, field.name))
    return texts, bounds


def _config_classes() -> Iterator[Any]:
    for value in vars(vllm.config).values():
        if isinstance(value, type) and dataclasses.is_dataclass(value):
            yield value


def _bounds_of(owner: Any, name: str) -> dict[str, float]:
    """`ge`, `lt` and their like of a field of a pydantic dataclass, in JSON Schema's words."""
    info = getattr(owner, "__pydantic_fields__", {}).get(name)
    found: dict[str, float] = {}
    for rule in getattr(info, "metadata", ()):
        for word, key in _BOUNDS.items():
            if (bound := getattr(rule, word, None)) is not None:
                found[key] = bound
    return found


def _unnamed_choices(name: str) -> list[str] | None:
    """Choices that EngineArgs' annotations hide at run time, to spare an import."""
    if name == "quantization":
        from vllm.model_executor.layers.quantization import QUANTIZATION_METHODS

        return sorted(QUANTIZATION_METHODS)
    if name == "load_format":
        from vllm.model_executor.model_loader import LoadFormats

        return sorted(typing.get_args(LoadFormats))
    return None


def _sampling() -> Iterator[Raw]:
    import msgspec

    hints = _hints(SamplingParams)
    texts = get_attr_docs(SamplingParams)
    for field in msgspec.structs.fields(SamplingParams):
        if field.name.startswith("_"):
            continue
        default: Any = field.default if field.default is not msgspec.NODEFAULT else _ABSENT
        if default is _ABSENT and field.default_factory is not msgspec.NODEFAULT:
            default = field.default_factory()
        yield _field(field.name, hints[field.name], default, texts.get(field.name, ""), {}, None)


def _environment() -> Iterator[Raw]:
    """vllm/envs.py declares each variable for type checkers, with its default, and describes it where it is read."""
    source = Path(vllm.envs.__file__).read_text(encoding="utf-8")
    declared: dict[str, tuple[Any, Any, str]] = {}
    for block in ast.parse(source).body:
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test):
            for line in block.body:
                if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                    declared[line.target.id] = _declared(line)
    texts = dict(_comments(source))
    for name in vllm.envs.environment_variables:
        hint, default, written = declared.get(name, (str | None, None, "str | None"))
        found = _field(name, hint, default, texts.get(name, ""), {}, None)
        yield {**found, "type": written}


def _declared(line: ast.AnnAssign) -> tuple[Any, Any, str]:
    written = ast.unparse(line.annotation)
    hint = eval(written, {}, _Names(vars(typing)))
    try:
        default = None if line.value is None else ast.literal_eval(line.value)
    except ValueError:
        return hint, _COMPUTED, written
    return hint, default, written


def _comments(source: str) -> Iterator[tuple[str, str]]:
    """Each variable with the comment lines right above the entry that reads it."""
    above: list[str] = []
    for line in source.partition("environment_variables")[2].splitlines():
        text = line.strip()
        if text.startswith("#"):
            above.append(text.lstrip("# "))
        elif match := re.match(r"\"(\w+)\":", text):
            yield match[1], " ".join(above)
            above = []
        elif text:
            above = []


def _field(
    name: str, hint: Any, default: Any, text: str, bounds: Mapping[str, float], named: list[str] | None, depth: int = 0
) -> Raw:
    value = option_types.values(hint)
    offered = [c for c in option_types.choices(value or {}) if c is not None]
    if value is not None:
        value = _without_redundant(value)
    if named is not None:
        value = {"anyOf": [{"type": "string"}, {"type": "null"}]} if default is None else {"type": "string"}
    found: Raw = {"name": name, "type": _written(hint)}
    inner = _part(hint)
    if inner is not None and depth < _DEPTH:
        found["fields"] = list(_fields_of(inner, depth + 1))
        found["value"] = {"type": "object"}
        found["default"] = None
    else:
        found["default"] = None if default is _COMPUTED else option_types.plain(default)
        if value is not None and default is not _COMPUTED:
            value = _bounded(value, bounds)
            found["value"] = option_types.with_default(value, default)
    if choices := named or offered:
        found["choices"] = choices
    found["description"] = _tidy(text)
    return found


def _fields_of(owner: Any, depth: int) -> Iterator[Raw]:
    hints = _hints(owner)
    texts = get_attr_docs(owner)
    for field in dataclasses.fields(owner):
        if field.name.startswith("_") or not field.init:
            continue
        bounds = _bounds_of(owner, field.name)
        yield _field(field.name, hints[field.name], _default(field), texts.get(field.name, ""), bounds, None, depth)


def _default(field: Any) -> Any:
    default = field.default
    if default is dataclasses.MISSING:
        return None if field.default_factory is dataclasses.MISSING else field.default_factory()
    if hasattr(default, "get_default"):  # pydantic's own description of a field
        default = default.get_default(call_default_factory=True)
    return None if type(default).__name__ == "PydanticUndefinedType" else default


def _part(hint: Any) -> Any:
    """The configuration class that a type holds, or None."""
    found = [one for one in option_types.branches(hint) if isinstance(one, type) and dataclasses.is_dataclass(one)]
    return found[0] if len(found) == 1 else None


def _without_redundant(value: Raw) -> Raw:
    """Where any text is taken, the texts that are named one by one add nothing."""
    options = value.get("anyOf", [])
    if {"type": "string"} not in options:
        return value
    left = [o for o in options if not ("enum" in o and all(isinstance(c, str) for c in o["enum"]))]
    return left[0] if len(left) == 1 else {"anyOf": left}


def _bounded(value: Raw, bounds: Mapping[str, float]) -> Raw:
    if "anyOf" in value:
        return {"anyOf": [_bounded(option, bounds) for option in value["anyOf"]]}
    return {**value, **bounds} if value.get("type") in ("integer", "number") else value


def _written(hint: Any) -> str:
    """The annotation as text without what only adds to it, the same in every process."""
    plain = typing.get_type_hints(types.SimpleNamespace(__annotations__={"it": hint}))["it"]
    return option_types.written(plain)


def _tidy(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in inspect.cleandoc(text).split("\n\n")).strip()
