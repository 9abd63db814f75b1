"""The JSON Schema (draft 2020-12) of a study file with everything that is installed, for editors and other tools.

It describes the shape of a file. What depends on several keys at once (a backend's section without that backend, a
model that only the sweep gives) is left to llem itself.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from llem.plugin_api import (
    RUNNER_OPTIONS,
    BackendSpec,
    ExecutionConfig,
    RunnerSpec,
    ScenarioSpec,
    Section,
    StudyConfig,
    Vocabulary,
    alternatives,
    facts_of,
    schema_of,
    takes_text,
)

DRAFT = "https://json-schema.org/draft/2020-12/schema"
RUNNER = r"^[A-Za-z0-9][A-Za-z0-9_-]*(:\S.*)?$"

Schema = dict[str, Any]


def json_schema(
    backends: Mapping[str, BackendSpec],
    runners: Mapping[str, RunnerSpec] | None = None,
    scenarios: Mapping[str, ScenarioSpec] | None = None,
) -> Schema:
    """The schema of a whole study file.

    Args:
        backends: what is installed, by name; each brings its section, and its fields as axes.
        runners: likewise; those that have options bring a section under `runner_options`.
        scenarios: likewise, the words that `measurement.scenario` takes, with the sections that they bring; None for any word.
    """
    vocabulary = Vocabulary(backends, runners, scenarios)
    study = {name: field.description for name, field in StudyConfig.model_fields.items()}
    experiment = _experiment(vocabulary)
    fields = _fields(vocabulary)
    sections = {name: _section(model) for name, model in vocabulary.sections.items()}
    if scenarios:
        for field in (fields["measurement.scenario"], sections["measurement"]["properties"]["scenario"]):
            field["enum"] = list(scenarios)
    dotted: Schema = {key: _reference(f"field/{key}") for key in fields}
    entry = {"type": "object", "properties": {**experiment, **dotted}, "additionalProperties": False}
    return {
        "$schema": DRAFT,
        "title": "llem study",
        "description": "experiments and how they are run; `llem config init` writes one to start from",
        "type": "object",
        "properties": {
            "name": {**_plain(schema_of(StudyConfig)["properties"]["name"]), "description": study["name"]},
            **experiment,
            "sweep": {"description": study["sweep"], **_sweep(experiment, fields)},
            "experiments": {
                "type": "array",
                "description": study["experiments"],
                "items": _reference("entry"),
            },
            "execution": _section(ExecutionConfig),
            "runners": {
                "type": "object",
                "description": study["runners"],
                "properties": {name: {"type": "string", "pattern": RUNNER} for name in vocabulary.backends},
                "additionalProperties": False,
            },
            RUNNER_OPTIONS: {
                "type": "object",
                "description": study[RUNNER_OPTIONS],
                "properties": {name: _section(model) for name, model in vocabulary.runner_options.items()},
                "additionalProperties": False,
            },
        },
        "additionalProperties": False,
        "$defs": {
            "section": sections,
            "field": fields,
            "entry": entry,
            "range": {"anyOf": _ranges()},
        },
    }


def _experiment(vocabulary: Vocabulary) -> Schema:
    """Keys of one experiment. Sections are referred to: they stand in the study, in experiments and as axes."""
    backend: Schema = {"type": "string", "description": "which backend runs the experiments"}
    if vocabulary.backends:
        backend["enum"] = list(vocabulary.backends)
    return {"backend": backend, **{name: _reference(f"section/{name}") for name in vocabulary.sections}}


def _reference(definition: str) -> Schema:
    return {"$ref": f"#/$defs/{definition}"}


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
    result = {key: value for key, value in schema.items() if key != "title"}
    if "properties" in result:
        result["properties"] = {name: _plain(field) for name, field in result["properties"].items()}
    for word in ("anyOf", "oneOf"):
        if word in result:
            result[word] = [_plain(option) for option in result[word]]
    if isinstance(result.get("items"), Mapping):
        result["items"] = _plain(result["items"])
    return copy.deepcopy(result)


def _fields(vocabulary: Vocabulary) -> Schema:
    """Every field under its dotted key, as axes, groups and explicit experiments write it."""
    return {
        f"{section}.{key}": _plain(facts.schema)
        for section, model in vocabulary.sections.items()
        for key, facts in facts_of(model).items()
    }


def _sweep(experiment: Schema, fields: Schema) -> Schema:
    axes: Schema = {key: {"type": "array", "minItems": 1, "items": value} for key, value in experiment.items()}
    for key, value in fields.items():
        listed: Schema = {"type": "array", "minItems": 1, "items": _reference(f"field/{key}")}
        about = {"description": value["description"]} if "description" in value else {}
        axes[key] = {**about, "anyOf": [listed, _reference("range")]} if _numeric(value) else {**about, **listed}
    entries = {"type": "array", "minItems": 1, "items": _reference("entry")}
    groups = {
        "description": "keys that vary together: a list of mappings, or several such lists by label, each crossed with the axes",
        "anyOf": [
            entries,
            {"type": "array", "minItems": 1, "items": entries},
            {"type": "object", "additionalProperties": entries},
        ],
    }
    return {"type": "object", "properties": {**axes, "groups": groups}, "additionalProperties": False}


def _numeric(schema: Mapping[str, Any]) -> bool:
    return any(option.get("type") in {"integer", "number"} for option in alternatives(schema))


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
