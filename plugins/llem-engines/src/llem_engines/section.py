"""From a schema to the section's model: a field for every option that a study may give, and a reason for every other name."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal

import pydantic
from pydantic import ConfigDict, create_model

from llem.plugin_api import Section
from llem_engines.names import EngineNames
from llem_engines.schemas import Field, Schema

_BOUNDS = {"minimum": "ge", "maximum": "le", "exclusiveMinimum": "gt", "exclusiveMaximum": "lt"}
_PLAIN: Mapping[str, Any] = {"boolean": bool, "integer": int, "number": float, "string": str, "null": None}

Retired = Mapping[str, str]
Groups = Mapping[str, tuple[str, str]]


class OptionSection(Section):
    """Base of what is built here. pydantic makes its validator when a study first has such a section, not before."""

    model_config = ConfigDict(defer_build=True)


def section_model(
    schema: Schema, names: EngineNames, groups: Groups, own: Mapping[str, Any], retired: Retired | None = None
) -> type[Section]:
    """The model of an engine's section.

    Args:
        schema: of one version.
        names: of the engine.
        groups: parts of the schema that stand below the section under their own name, beside the engine's options: each with the
            name of its class and what it is.
        own: further fields, as pydantic's `create_model` takes them.
        retired: names that older versions had, dotted below the section, each with what to do instead.
    """
    builder = _Builder(f"llem_{names.backend}.config", retired or {})
    fields = builder.definitions(schema["engine"], "") | dict(own)
    for group, (title, description) in groups.items():
        inner = builder.model(title, description, schema[group], f"{group}.")
        fields[group] = (inner | None, pydantic.Field(None, description=description))
    summary = f"Options of the backend `{names.backend}`, as {names.engine} {schema[names.backend]} has them."
    return builder.create(f"{names.backend.capitalize()}Config", summary, fields, builder.refused(schema["engine"], ""))


def given(section: Section, apart: Set[str] = frozenset()) -> dict[str, Any]:
    """The options that differ from their default, as plain data, parts with fields of their own as mappings; some names left out."""
    found: dict[str, Any] = {}
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if name in apart:
            continue
        if isinstance(value, Section):
            if inside := given(value):
                found[name] = inside
        elif value != field.default or type(value) is not type(field.default):
            found[name] = value
    return found


def without_empty_parts(section: Section) -> Section:
    """The same options with null in the place of each part that says nothing."""
    changes: dict[str, Any] = {}
    for name in section.model_fields_set:
        value = getattr(section, name)
        if isinstance(value, Section):
            reduced = without_empty_parts(value)
            changes[name] = reduced if given(reduced) else None
    changes = {name: value for name, value in changes.items() if value is not getattr(section, name)}
    return section.model_copy(update=changes) if changes else section


@dataclass(frozen=True)
class _Builder:
    """Makes models that belong to one module, which knows some names of old."""

    module: str
    retired: Retired

    def create(self, title: str, summary: str, fields: Mapping[str, Any], refused: Retired) -> type[Section]:
        with warnings.catch_warnings():
            # An option may be called like a method of pydantic's, such as `json`: the value is found before the method.
            warnings.filterwarnings("ignore", message="Field name .* shadows an attribute", category=UserWarning)
            model: type[Section] = create_model(
                title, __base__=OptionSection, __module__=self.module, __doc__=summary, **fields
            )
        model.retired = refused
        return model

    def model(self, title: str, summary: str, fields: Iterable[Field], prefix: str) -> type[Section]:
        fields = list(fields)
        text = f"{summary[:1].upper()}{summary[1:]}."
        return self.create(title, text, self.definitions(fields, prefix), self.refused(fields, prefix))

    def definitions(self, fields: Iterable[Field], prefix: str) -> dict[str, Any]:
        """Annotation and default of each option that a study may give."""
        may_be_given = (field for field in fields if "value" in field and "set_by" not in field)
        return {field["name"]: self._definition(field, prefix) for field in may_be_given}

    def refused(self, fields: Iterable[Field], prefix: str) -> Retired:
        """Names that stand in the schema and are no key, and names that the engine once had."""
        own = {field["name"]: field["set_by"] for field in fields if "set_by" in field}
        old = {key.removeprefix(prefix): text for key, text in self.retired.items() if key.startswith(prefix)}
        return own | {key: text for key, text in old.items() if "." not in key}

    def _definition(self, field: Field, prefix: str) -> tuple[Any, Any]:
        """Annotation and default of one field. A part with fields of its own is null until one of them is given."""
        name, why = field["name"], field["why"]
        if "fields" in field:
            title = "".join(part.capitalize() for part in name.split("_"))
            inner = self.model(title, why, field["fields"], f"{prefix}{name}.")
            return inner | None, pydantic.Field(None, description=why)
        return _annotation(field["value"]), pydantic.Field(field["default"], description=why)


def _annotation(value: Mapping[str, Any]) -> Any:
    """The Python type of a JSON Schema of the kinds that `option_types` writes."""
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
