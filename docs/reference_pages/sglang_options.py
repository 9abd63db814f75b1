"""docs/reference/sglang.md: every option of SGLang that a study may give, from the schema in llem-sglang, in our words."""

from __future__ import annotations

import json
from collections.abc import Iterator

from docs.reference_pages.markdown import code, document, escaped, table
from llem.config.introspect import facts_of
from llem_sglang.config import OWN
from llem_sglang.schema import DEFAULT, GROUPS, load
from llem_sglang.section import section_model

INTRODUCTION = f"""Every key below `sglang:`, as SGLang {DEFAULT} has them, with what it decides, whether that changes energy, and
why. [Backends](../backends.md#sglang) explains how they work together. SGLang's own help is not repeated here."""

_TITLES = {"engine": "## Engine", "sampling": "## sampling"}


def page() -> str:
    """The whole page."""
    return document("SGLang's options", INTRODUCTION, _parts())


def _parts() -> Iterator[str]:
    schema = load(DEFAULT)
    facts = facts_of(section_model(schema, OWN))
    for group in GROUPS:
        prefix = "" if group == "engine" else f"{group}."
        fields = {f"{prefix}{field['name']}": field for field in schema[group]}
        keys = [key for key in facts if ("." in key) == bool(prefix) and key != "sampling"]
        yield _TITLES[group]
        yield table(
            ["key", "accepted", "default", "energy", "what it decides, and why"],
            (
                [
                    code(f"sglang.{key}"),
                    escaped(facts[key].accepted),
                    code(_written(facts[key].default)),
                    "yes" if key not in fields or fields[key]["energy"] else "no",
                    escaped(facts[key].description),
                ]
                for key in keys
            ),
        )
    yield "## Settled elsewhere"
    yield "Options of SGLang that are no key of a study, with what to write instead."
    settled = [(group, field) for group in GROUPS for field in schema[group] if "set_by" in field]
    yield table(
        ["option", "what it decides, and why", "instead"],
        (
            [
                code(field["name"] if group == "engine" else f"{group}.{field['name']}"),
                escaped(field["why"]),
                escaped(field["set_by"]),
            ]
            for group, field in settled
        ),
    )


def _written(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
