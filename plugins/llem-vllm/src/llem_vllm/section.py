"""From a schema to the section's model: a field for every option that a study may give, and a reason for every other name."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal

import pydantic
from pydantic import ConfigDict, create_model

from llem.plugin_api import Section
from llem_vllm.schema import Field, Schema

GROUPS = {
    "sampling": ("SamplingSection", "how tokens are chosen, beyond the section `decoding`"),
    "environment": (
        "EnvironmentSection",
        "variables that vLLM reads, set in the worker: those that change what it does",
    ),
}
"""Parts of the schema that stand below the section under their own name, beside the engine's options."""

_BOUNDS = {"minimum": "ge", "maximum": "le", "exclusiveMinimum": "gt", "exclusiveMaximum": "lt"}
_PLAIN: Mapping[str, Any] = {"boolean": bool, "integer": int, "number": float, "string": str, "null": None}

Retired = Mapping[str, str]


class OptionSection(Section):
    """Base of what is built here. pydantic makes its validator when a study first has such a section, not before."""

    model_config = ConfigDict(defer_build=True)


def section_model(schema: Schema, retired: Retired, own: Mapping[str, Any]) -> type[Section]:
    """The model of `vllm:`.

    Args:
        schema: of one vLLM version.
        retired: names that older versions had, dotted below the section, each with what to do instead.
        own: further fields, as pydantic's `create_model` takes them.
    """
    fields = {field["name"]: _definition(field, "", retired) for field in _given(schema["engine"])} | dict(own)
    for group, (title, description) in GROUPS.items():
        inner = _model(title, description, schema[group], f"{group}.", retired)
        fields[group] = (inner | None, pydantic.Field(None, description=description))
    summary = f"Options of the backend `vllm`, as vLLM {schema['vllm']} has them."
    return _create("VllmConfig", summary, fields, _refused(schema["engine"], "", retired))


def _model(title: str, summary: str, fields: Iterable[Field], prefix: str, retired: Retired) -> type[Section]:
    fields = list(fields)
    definitions = {field["name"]: _definition(field, prefix, retired) for field in _given(fields)}
    return _create(title, f"{summary[:1].upper()}{summary[1:]}.", definitions, _refused(fields, prefix, retired))


def _create(title: str, summary: str, fields: Mapping[str, Any], refused: Retired) -> type[Section]:
    with warnings.catch_warnings():
        # An option may be called like a method of pydantic's, such as `json`: the value is found before the method.
        warnings.filterwarnings("ignore", message="Field name .* shadows an attribute", category=UserWarning)
        model: type[Section] = create_model(
            title, __base__=OptionSection, __module__="llem_vllm.config", __doc__=summary, **fields
        )
    model.retired = refused
    return model


def _given(fields: Iterable[Field]) -> Iterable[Field]:
    """Those that a study may give."""
    return (field for field in fields if "value" in field and "set_by" not in field)


def _refused(fields: Iterable[Field], prefix: str, retired: Retired) -> Retired:
    """Names that stand in the schema and are no key, and names that vLLM once had."""
    own = {field["name"]: field["set_by"] for field in fields if "set_by" in field}
    old = {key.removeprefix(prefix): text for key, text in retired.items() if key.startswith(prefix)}
    return own | {key: text for key, text in old.items() if "." not in key}


def _definition(field: Field, prefix: str, retired: Retired) -> tuple[Any, Any]:
    """Annotation and default of one field. A part with fields of its own is null until one of them is given."""
    name, why = field["name"], field["why"]
    if "fields" in field:
        title = "".join(part.capitalize() for part in name.split("_"))
        inner = _model(title, why, field["fields"], f"{prefix}{name}.", retired)
        return inner | None, pydantic.Field(None, description=why)
    return _annotation(field["value"]), pydantic.Field(field["default"], description=why)


def _annotation(value: Mapping[str, Any]) -> Any:
    """The Python type of a JSON Schema of the kinds that `introspect` writes."""
    if "anyOf" in value:
        return reduce(or_, (_annotation(option) for option in value["anyOf"]))
    if "enum" in value:
        return Literal[tuple(value["enum"])]
    kind = value.get("type")
    bounds = {word: value[name] for name, word in _BOUNDS.items() if name in value}
    if kind == "array":
        return list[_annotation(value.get("items", {}))]  # type: ignore[misc]
    if kind == "object":
        inner = value.get("additionalProperties")
        return dict[str, _annotation(inner) if isinstance(inner, Mapping) else Any]  # type: ignore[misc]
    if kind is None:
        return Any
    return Annotated[_PLAIN[kind], pydantic.Field(**bounds)] if bounds else _PLAIN[kind]
