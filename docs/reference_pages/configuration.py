"""docs/reference/configuration.md: every key of a study, from the models that validate it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from docs.reference_pages.markdown import code, document, escaped, first_paragraph, table
from llem.config.environment import RESERVED, variable_of
from llem.config.experiment import SECTIONS, ExperimentConfig
from llem.config.introspect import FieldFacts, facts_of, schema_of, takes_text
from llem.config.resolution import PRESETS
from llem.config.section import Section
from llem.config.study import ExecutionConfig, StudyConfig
from llem.plugins import default_registry
from llem.specs import kinds

BACKENDS = ("pytorch",)
"""Backends of this repository; what else is installed does not belong on the page."""

INTRODUCTION = """Every key of a study with the values that it takes. [Writing a study](../study.md) explains how they work together.
Types are strict: text is not taken for a number, and a key that is not listed here is an error."""


def page() -> str:
    """The whole page."""
    return document("Configuration", INTRODUCTION, _parts())


def _parts() -> Iterator[str]:
    yield "## Study"
    yield table(["key", "accepted", "default", "meaning"], _study_rows())
    for name, section in SECTIONS.items():
        yield from _section(name, section)
        if name == "decoding":
            yield "What each preset stands for:"
            yield table(["preset", "fields"], ([code(n), _values(fields)] for n, fields in PRESETS.items()))
    yield from _section("execution", ExecutionConfig)
    for name in BACKENDS:
        spec = default_registry().find(kinds.BACKENDS, name)
        yield from _section(name, spec.config, f"{spec.summary}. Capabilities: {', '.join(sorted(spec.capabilities))}.")
    yield from _variables()


def _variables() -> Iterator[str]:
    example = "measurement.min_window_s"
    yield "## Environment variables"
    yield (
        f"Every key of a section has a variable: `{variable_of(example)}` sets `{example}`. "
        "`LLEM_RUNNER_BACKEND` sets `runners.BACKEND`. A `LLEM_` variable that is not known is an error. Besides:"
    )
    yield table(["variable", "meaning"], ([code(name), meaning] for name, meaning in RESERVED.items()))


def _study_rows() -> Iterator[list[str]]:
    described = {name: field.description or "" for name, field in StudyConfig.model_fields.items()}
    facts = facts_of(StudyConfig)
    yield [code("name"), escaped(facts["name"].accepted), code(_written(facts["name"].default)), described["name"]]
    backend = schema_of(ExperimentConfig)["properties"]["backend"]["description"]
    yield [code("backend"), "text, not empty", "where only one can be meant: that one", backend]
    for section, model in {**SECTIONS, "execution": ExecutionConfig}.items():
        accepted = "a mapping, or text" if takes_text(model) else "a mapping"
        default = "required" if section == "model" else "every field at its default"
        yield [f"[`{section}`](#{section})", accepted, default, first_paragraph(model.__doc__)]
    yield [code("BACKEND"), "a mapping", "every field at its default", "the backend's own section, under its name"]
    for name in ("sweep", "experiments", "runners"):
        yield [code(name), facts[name].accepted, "none", described[name]]


def _section(name: str, model: type[Section], note: str = "") -> Iterator[str]:
    yield f"## {name}"
    yield f"{first_paragraph(model.__doc__)} {note}".strip()
    yield table(["key", "accepted", "default", "meaning"], (_row(name, f) for f in facts_of(model).values()))


def _row(section: str, facts: FieldFacts) -> list[str]:
    default = "required" if facts.required else code(_written(facts.default))
    return [code(f"{section}.{facts.key}"), escaped(facts.accepted), default, facts.description]


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _values(fields: Mapping[str, Any]) -> str:
    return ", ".join(code(f"{key}: {_written(value)}") for key, value in fields.items())
