"""Values that probe one field of a section, read off its JSON Schema: at and around every bound, and of every type."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from llem.config.constraints import Schema, alternatives
from llem.config.introspect import FieldFacts


def valid_values(facts: FieldFacts) -> list[Any]:
    """Values that the annotation and its constraints take."""
    return probes(facts.schema)[0]


def invalid_values(facts: FieldFacts) -> list[Any]:
    """Values that they refuse: of another type, beyond a bound, not among the choices."""
    return probes(facts.schema)[1]


def probes(schema: Schema) -> tuple[list[Any], list[Any]]:
    """Values at and around every bound, and of every type: those that the schema takes, and those that it refuses."""
    valid: list[Any] = []
    invalid: list[Any] = []
    for value in _candidates(schema):
        side = valid if fits(schema, value) else invalid
        if not any(type(value) is type(other) and _same(value, other) for other in side):
            side.append(value)
    return valid, invalid


def _same(a: Any, b: Any) -> bool:
    return bool(a == b) or (a != a and b != b)


def _candidates(schema: Schema) -> Iterator[Any]:
    examples = schema.get("examples", [])
    yield from examples
    for option in alternatives(schema):
        yield from option.get("enum") or _constant(option)
        match option.get("type"):
            case "integer" | "number":
                yield from _around(option)
            case "boolean":
                yield from (True, False)
            case "string" if not examples and "enum" not in option and "const" not in option:
                least = option.get("minLength", 0)
                yield from ("x" * max(1, least), "x" * max(0, least - 1))
            case "array":
                valid, invalid = probes(option.get("items", {}))
                least = option.get("minItems", 0)
                yield from ([v] * max(1, least) for v in valid[:3])
                yield from ([v] * max(1, least) for v in invalid[:3])
                yield [] if least else [None] * (option.get("maxItems", 0) + 1)
            case "object" if "properties" not in option:
                inner = option.get("additionalProperties")
                yield {}
                if isinstance(inner, Mapping) and inner:
                    valid, invalid = probes(inner)
                    yield from ({"key": v} for v in valid[:1] + invalid[:1])
    # Text is a probe only where no text can be right, or where any is: a validator may know better than a schema.
    yield from (True, 1, -1, 0.5, math.nan, math.inf, -math.inf, [], {"llem-no-such-key": 1}, None)
    if not any(o.get("type") == "string" and "enum" not in o and "const" not in o for o in alternatives(schema)):
        yield "llem-no-such-value"


def _around(schema: Schema) -> Iterator[float]:
    whole = schema.get("type") == "integer"
    step = schema.get("multipleOf", 1 if whole else 0.125)
    for word, side in (("minimum", -1), ("maximum", 1), ("exclusiveMinimum", -1), ("exclusiveMaximum", 1)):
        if word in schema:
            bound = int(schema[word]) if whole else schema[word]
            yield from (bound, bound + side * step, bound - side * step)
    yield from (1, 2) if whole else (0.5, 1.0)


def _constant(schema: Schema) -> list[Any]:
    return [schema["const"]] if "const" in schema else []


def fits(schema: Schema, value: Any) -> bool:
    """Tell whether the schema takes this value, by the strict rules of `Section`: no number for a boolean or a text."""
    return any(_fits_one(option, value) for option in alternatives(schema))


def _fits_one(schema: Schema, value: Any) -> bool:
    if "enum" in schema or "const" in schema:
        return any(type(value) is type(c) and value == c for c in schema.get("enum") or _constant(schema))
    match schema.get("type"):
        case "null":
            return value is None
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool) and _in_range(schema, value)
        case "number":
            plain = isinstance(value, (int, float)) and not isinstance(value, bool)
            return plain and math.isfinite(value) and _in_range(schema, value)
        case "string":
            return isinstance(value, str) and _fits_text(schema, value)
        case "array":
            least, most = schema.get("minItems", 0), schema.get("maxItems", math.inf)
            items = schema.get("items", {})
            return isinstance(value, list) and least <= len(value) <= most and all(fits(items, v) for v in value)
        case "object":
            return isinstance(value, dict) and _fits_mapping(schema, value)
        case _:
            return True


def _in_range(schema: Schema, value: float) -> bool:
    return (
        value >= schema.get("minimum", -math.inf)
        and value <= schema.get("maximum", math.inf)
        and value > schema.get("exclusiveMinimum", -math.inf)
        and value < schema.get("exclusiveMaximum", math.inf)
        and ("multipleOf" not in schema or value % schema["multipleOf"] == 0)
    )


def _fits_text(schema: Schema, value: str) -> bool:
    long_enough = schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", math.inf)
    return long_enough and ("pattern" not in schema or re.search(schema["pattern"], value) is not None)


def _fits_mapping(schema: Schema, value: Mapping[str, Any]) -> bool:
    properties, more = schema.get("properties", {}), schema.get("additionalProperties", True)
    if not set(schema.get("required", ())) <= set(value):
        return False
    for key, item in value.items():
        inner = properties.get(key, more)
        if inner is False or (isinstance(inner, Mapping) and not fits(inner, item)):
            return False
    return True
