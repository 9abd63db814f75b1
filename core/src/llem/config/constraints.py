"""The values that one field takes, in words, read off its JSON Schema.

The schema is pydantic's own rendering of the annotation, so a field is described nowhere else.
All functions take a schema without references (see `llem.config.introspect`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

Schema = Mapping[str, Any]

_NAMES = {"string": "text", "boolean": "true or false", "null": "null"}


def alternatives(schema: Schema) -> list[Schema]:
    """The schemas of which a value must fit one."""
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return [leaf for option in schema[word] for leaf in alternatives(option)]
    return [schema]


def choices(schema: Schema) -> tuple[Any, ...]:
    """The values that are named one by one."""
    return tuple(c for option in alternatives(schema) for c in (option.get("enum") or _const(option)))


def _const(schema: Schema) -> list[Any]:
    return [schema["const"]] if "const" in schema else []


def accepted(schema: Schema) -> str:
    """The values that are taken, in words: `a whole number from 1 to 100, or null`."""
    named = choices(schema)
    parts = [_shown(named)] if named else []
    parts += [_words(o) for o in alternatives(schema) if not (o.get("enum") or "const" in o)]
    return ", or ".join(dict.fromkeys(parts))


def _shown(named: Sequence[Any]) -> str:
    words = [value if isinstance(value, str) else json.dumps(value) for value in named]
    return words[0] if len(words) == 1 else "one of " + ", ".join(words)


def _words(schema: Schema) -> str:
    kind = schema.get("type")
    if kind in {"integer", "number"}:
        return f"{'a whole number' if kind == 'integer' else 'a number'}{_range(schema)}"
    if kind == "string":
        pattern = f" that matches {schema['pattern']}" if "pattern" in schema else ""
        return f"{'text, not empty' if schema.get('minLength', 0) == 1 and not pattern else 'text'}{pattern}"
    if kind == "array":
        least = schema.get("minItems", 0)
        count = f" of at least {least} item{'s' if least > 1 else ''}" if least else ""
        return f"a list{count}, each {accepted(schema.get('items', {}))}"
    if kind == "object":
        if "properties" in schema:
            return "a mapping with the keys " + ", ".join(schema["properties"])
        inner = schema.get("additionalProperties")
        return f"a mapping to {accepted(inner)}" if isinstance(inner, Mapping) and inner else "a mapping"
    return _NAMES.get(str(kind), "any value")


def _range(schema: Schema) -> str:
    low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    high, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    step = f" in steps of {_figure(schema['multipleOf'])}" if "multipleOf" in schema else ""
    if low is not None and high is not None:
        return f" from {_figure(low)} to {_figure(high)}{step}"
    lower = f"at least {_figure(low)}" if low is not None else f"above {_figure(above)}" if above is not None else ""
    upper = f"at most {_figure(high)}" if high is not None else f"below {_figure(below)}" if below is not None else ""
    return (" " + " and ".join(filter(None, (lower, upper))) if lower or upper else "") + step


def _figure(value: float) -> str:
    if isinstance(value, int) or value.is_integer():
        return f"{int(value):,}"
    return f"{value:g}"
