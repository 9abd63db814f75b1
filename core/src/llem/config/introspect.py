"""Facts about every field of a section, from the model alone: the source of docs, schema and messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from llem.config import constraints
from llem.config.section import Section


@dataclass(frozen=True, kw_only=True)
class FieldFacts:
    """One field of a section.

    Attributes:
        key: dotted, below the section: `batch_size`, or `compile.mode` in a nested section.
        schema: its JSON Schema, without references.
        accepted: what it takes, in words.
        description: what it means.
        default: its default as plain data; None also where it is required.
        required: it has no default.
        choices: the values that are named one by one, such as those of a Literal.
    """

    key: str
    schema: Mapping[str, Any]
    accepted: str
    description: str
    default: Any
    required: bool
    choices: tuple[Any, ...]


@cache
def schema_of(model: type[Section]) -> Mapping[str, Any]:
    """The JSON Schema of a section with every reference replaced by what it refers to."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})
    resolved: dict[str, Any] = _inlined(schema, definitions)
    return resolved


def _inlined(schema: Any, definitions: Mapping[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_inlined(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        return _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions) | beside
    return {key: _inlined(value, definitions) for key, value in schema.items()}


@cache
def facts_of(model: type[Section]) -> Mapping[str, FieldFacts]:
    """Every field by its dotted key, nested sections flattened, in the order of the model."""
    return {facts.key: facts for facts in _facts(model, schema_of(model), "")}


def _facts(model: type[Section], schema: Mapping[str, Any], prefix: str) -> Iterator[FieldFacts]:
    required = schema.get("required", ())
    for name, field in model.model_fields.items():
        inner = nested_section(field)
        own = schema["properties"][name]
        if inner is not None:
            branch = next(o for o in constraints.alternatives(own) if "properties" in o)
            yield from _facts(inner, branch, f"{prefix}{name}.")
            continue
        yield FieldFacts(
            key=f"{prefix}{name}",
            schema=own,
            accepted=constraints.accepted(own),
            description=field.description or "",
            default=None if field.is_required() else _plain(field.get_default(call_default_factory=True)),
            required=name in required,
            choices=constraints.choices(own),
        )


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, Section) else value


def nested_section(field: FieldInfo) -> type[Section] | None:
    """The section that a field holds (also where it may be null), or None for a plain field."""
    return _section_in(field.annotation)


def _section_in(annotation: Any) -> type[Section] | None:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    if get_origin(annotation) is Annotated:
        return _section_in(get_args(annotation)[0])
    inside = [a for a in get_args(annotation) if a is not type(None)]
    # A list or a mapping of sections is a plain field: its items have no dotted key.
    return _section_in(inside[0]) if len(inside) == 1 and type(None) in get_args(annotation) else None


def section_at(model: type[Section] | None, path: Sequence[str | int]) -> type[Section] | None:
    """The section that a path below a section leads to; None where there is none."""
    for part in path:
        field = model.model_fields.get(str(part)) if model is not None else None
        model = nested_section(field) if field is not None else None
    return model


def retired_key(model: type[Section] | None, path: Sequence[str | int]) -> str | None:
    """Advice in place of a key that a section names as retired; None for every other key.

    Args:
        model: the section.
        path: of the key below the section.
    """
    model = section_at(model, path[:-1])
    return model.retired.get(str(path[-1])) if model is not None and path else None


@cache
def takes_text(model: type[Section]) -> bool:
    """Tell whether the section may stand as a plain string, such as `model: NAME`."""
    try:
        model.model_validate("x")
    except ValidationError as error:
        return all(e["loc"] or e["type"] not in {"model_type", "model_attributes_type"} for e in error.errors())
    return True


def from_text(model: type[Section], text: str) -> dict[str, Any]:
    """The mapping that a plain string in place of the section stands for. Only where `takes_text`.

    Raises:
        pydantic.ValidationError: the string is no value of the field that it stands for.
    """
    return model.model_validate(text).model_dump(mode="json", exclude_unset=True)
