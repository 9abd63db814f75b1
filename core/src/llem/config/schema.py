"""The JSON Schema (draft 2020-12) of a study file with everything that is installed, for editors and other tools.

It describes the shape of a file. What depends on several keys at once (a backend's section without that backend, a
model that only the sweep gives) is left to llem itself.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from llem.config import constraints
from llem.config.introspect import facts_of, schema_of, takes_text
from llem.config.keys import HasConfig, Vocabulary
from llem.config.section import Section
from llem.config.study import ExecutionConfig, StudyConfig

DRAFT = "https://json-schema.org/draft/2020-12/schema"
RUNNER = r"^[A-Za-z0-9][A-Za-z0-9_-]*(:\S.*)?$"

Schema = dict[str, Any]


def json_schema(backends: Mapping[str, HasConfig]) -> Schema:
    """The schema of a whole study file.

    Args:
        backends: what is installed, by name; each brings its section, and its fields as axes.
    """
    vocabulary = Vocabulary(backends)
    study = {name: field.description for name, field in StudyConfig.model_fields.items()}
    experiment = _experiment(vocabulary)
    return {
        "$schema": DRAFT,
        "title": "llem study",
        "description": "experiments and how they are run; `llem config init` writes one to start from",
        "type": "object",
        "properties": {
            "name": {**_plain(schema_of(StudyConfig)["properties"]["name"]), "description": study["name"]},
            **experiment,
            "sweep": _sweep(vocabulary, study["sweep"] or ""),
            "experiments": {
                "type": "array",
                "description": study["experiments"],
                "items": {
                    "type": "object",
                    "properties": {**experiment, **_dotted(vocabulary)},
                    "additionalProperties": False,
                },
            },
            "execution": _section(ExecutionConfig),
            "runners": {
                "type": "object",
                "description": study["runners"],
                "properties": {name: {"type": "string", "pattern": RUNNER} for name in vocabulary.backends},
                "additionalProperties": False,
            },
        },
        "additionalProperties": False,
        "$defs": {"section": {name: _section(model) for name, model in vocabulary.sections.items()}},
    }


def _experiment(vocabulary: Vocabulary) -> Schema:
    """Keys of one experiment. Sections are referred to: they stand in the study, in experiments and as axes."""
    backend: Schema = {"type": "string", "description": "which backend runs the experiments"}
    if vocabulary.backends:
        backend["enum"] = list(vocabulary.backends)
    return {"backend": backend, **{name: _reference(name) for name in vocabulary.sections}}


def _reference(section: str) -> Schema:
    return {"$ref": f"#/$defs/section/{section}"}


def _section(model: type[Section]) -> Schema:
    """A section as it stands in a study: nothing in it is required, since the sweep may give the rest."""
    schema = _plain(schema_of(model))
    schema.pop("required", None)
    summary = (model.__doc__ or "").strip().partition("\n")[0]
    schema["description"] = summary
    if not takes_text(model):
        return schema
    short = {"type": "string", "minLength": 1}
    return {"description": summary, "anyOf": [short, {k: v for k, v in schema.items() if k != "description"}]}


def _plain(schema: Mapping[str, Any]) -> Schema:
    """A copy without the titles that pydantic makes of names: an editor would show them in place of the description."""
    result = copy.deepcopy(dict(schema))
    result.pop("title", None)
    for field in result.get("properties", {}).values():
        field.pop("title", None)
    return result


def _dotted(vocabulary: Vocabulary) -> Schema:
    """Every field under its dotted key, as explicit experiments and groups may write it."""
    return {
        f"{section}.{key}": _plain(facts.schema)
        for section, model in vocabulary.sections.items()
        for key, facts in facts_of(model).items()
    }


def _sweep(vocabulary: Vocabulary, description: str) -> Schema:
    fields = _dotted(vocabulary)
    sections = _experiment(vocabulary)
    axes: Schema = {key: _axis(value, numeric=False) for key, value in sections.items()}
    axes |= {key: _axis(value, numeric=_numeric(value)) for key, value in fields.items()}
    entries = {
        "type": "array",
        "minItems": 1,
        "items": {"type": "object", "properties": {**sections, **fields}, "additionalProperties": False},
    }
    groups = {
        "description": "keys that vary together: a list of mappings, or several such lists by label, each crossed with the axes",
        "anyOf": [entries, {"type": "object", "additionalProperties": entries}],
    }
    return {
        "type": "object",
        "description": description,
        "properties": {**axes, "groups": groups},
        "additionalProperties": False,
    }


def _numeric(schema: Mapping[str, Any]) -> bool:
    return any(option.get("type") in {"integer", "number"} for option in constraints.alternatives(schema))


def _axis(value: Schema, *, numeric: bool) -> Schema:
    listed: Schema = {"type": "array", "items": {k: v for k, v in value.items() if k not in {"default", "description"}}}
    about = {"description": value["description"]} if "description" in value else {}
    return {**about, "anyOf": [listed, *_ranges()]} if numeric else {**about, **listed}


def _ranges() -> list[Schema]:
    spread: Schema = {
        "type": "object",
        "properties": {
            "min": {"type": "number"},
            "max": {"type": "number"},
            "num": {"type": "integer", "minimum": 1, "description": "how many values, both ends among them"},
        },
        "required": ["min", "max", "num"],
        "additionalProperties": False,
    }
    short: Schema = {
        "type": "array",
        "prefixItems": [{"type": "number"}, {"type": "number"}, {"type": "integer", "minimum": 1}],
        "items": False,
        "minItems": 3,
    }
    powers: Schema = {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 2, "maxItems": 2}
    return [
        spread,
        _single("log", {"description": "evenly spaced ratios", "anyOf": [spread, short]}),
        _single("pow2", {"description": "powers of two from the first to the second, such as [1, 64]", **powers}),
    ]


def _single(key: str, value: Schema) -> Schema:
    return {"type": "object", "properties": {key: value}, "required": [key], "additionalProperties": False}
