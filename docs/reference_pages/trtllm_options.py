"""docs/reference/trtllm.md: every option of TensorRT-LLM that a study may give, from the schema in llem-trtllm, in our words."""

from __future__ import annotations

import json
from collections.abc import Iterator

from docs.reference_pages.markdown import code, document, escaped, table
from llem.config.introspect import facts_of
from llem_engines.schemas import dotted
from llem_trtllm.config import OWN
from llem_trtllm.schema import DEFAULT, GROUPS, load
from llem_trtllm.section import section_model

INTRODUCTION = f"""Every key below `trtllm:`, as TensorRT-LLM {DEFAULT} has them, with what it decides, whether that changes energy, and
why. [Backends](../backends.md#trtllm) explains how they work together. TensorRT-LLM's own help is not repeated here."""

_TITLES = {"engine": "## LLM", "tensorrt": "## tensorrt", "sampling": "## sampling"}


def page() -> str:
    """The whole page."""
    return document("TensorRT-LLM's options", INTRODUCTION, _parts())


def _parts() -> Iterator[str]:
    schema = load(DEFAULT)
    facts = facts_of(section_model(schema, OWN))
    for group in GROUPS:
        prefix = "" if group == "engine" else f"{group}."
        fields = dict(dotted(schema[group], prefix))
        own = OWN if group == "engine" else {}
        keys = [key for key in facts if key in own or (key in fields and "set_by" not in fields[key])]
        yield _TITLES[group]
        yield table(
            ["key", "accepted", "default", "energy", "what it decides, and why"],
            (
                [
                    code(f"trtllm.{key}"),
                    escaped(facts[key].accepted),
                    code(_written(facts[key].default)),
                    "yes" if key not in fields or fields[key]["energy"] else "no",
                    escaped(facts[key].description),
                ]
                for key in keys
            ),
        )
    yield "## Settled elsewhere"
    yield "Options of TensorRT-LLM that are no key of a study, with what to write instead."
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
