"""From a schema to the section's model: a field for every option that a study may give, and a reason for every other name."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from functools import reduce
from operator import or_
from typing import Any, Literal

import pydantic
from pydantic import ConfigDict, create_model

from llem.plugin_api import Section
from llem_sglang.schema import Field, Schema

GROUPS = {"sampling": ("SamplingSection", "how tokens are chosen, beyond the section `decoding`")}
"""Parts of the schema that stand below the section under their own name, beside the engine's options."""

_PLAIN: Mapping[str, Any] = {"boolean": bool, "integer": int, "number": float, "string": str, "null": None}


class OptionSection(Section):
    """Base of what is built here. pydantic makes its validator when a study first has such a section, not before."""

    model_config = ConfigDict(defer_build=True)


def section_model(schema: Schema, own: Mapping[str, Any]) -> type[Section]:
    """The model of `sglang:`.

    Args:
        schema: of one SGLang version.
        own: further fields, as pydantic's `create_model` takes them.
    """
    fields = _definitions(schema["engine"]) | dict(own)
    for group, (title, description) in GROUPS.items():
        summary = f"{description[:1].upper()}{description[1:]}."
        inner = _create(title, summary, _definitions(schema[group]), schema[group])
        fields[group] = (inner | None, pydantic.Field(None, description=description))
    summary = f"Options of the backend `sglang`, as SGLang {schema['sglang']} has them."
    return _create("SglangConfig", summary, fields, schema["engine"])


def _create(title: str, summary: str, definitions: Mapping[str, Any], fields: Iterable[Field]) -> type[Section]:
    with warnings.catch_warnings():
        # An option may be called like a method of pydantic's, such as `json`: the value is found before the method.
        warnings.filterwarnings("ignore", message="Field name .* shadows an attribute", category=UserWarning)
        model: type[Section] = create_model(
            title, __base__=OptionSection, __module__="llem_sglang.config", __doc__=summary, **definitions
        )
    model.retired = {field["name"]: field["set_by"] for field in fields if "set_by" in field}
    return model


def _definitions(fields: Iterable[Field]) -> dict[str, Any]:
    """Annotation and default of each option that a study may give."""
    return {
        field["name"]: (_annotation(field["value"]), pydantic.Field(field["default"], description=field["why"]))
        for field in fields
        if "value" in field and "set_by" not in field
    }


def _annotation(value: Mapping[str, Any]) -> Any:
    """The Python type of a JSON Schema of the kinds that `introspect` writes."""
    if "anyOf" in value:
        return reduce(or_, (_annotation(option) for option in value["anyOf"]))
    if "enum" in value:
        return Literal[tuple(value["enum"])]
    kind = value.get("type")
    if kind == "array":
        return list[_annotation(value.get("items", {}))]  # type: ignore[misc]
    if kind == "object":
        inner = value.get("additionalProperties")
        return dict[str, _annotation(inner) if isinstance(inner, Mapping) else Any]  # type: ignore[misc]
    return Any if kind is None else _PLAIN[kind]
