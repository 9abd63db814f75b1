"""docs/reference/vllm.md: every option of vLLM that a study may give, from the schema in llem-vllm, in our words."""

from __future__ import annotations

import json
from collections.abc import Iterator

from docs.reference_pages.markdown import code, document, escaped, table
from llem.config.introspect import facts_of
from llem_vllm.config import OWN, WITHOUT_EFFECT
from llem_vllm.options import fields_of
from llem_vllm.retired import RETIRED
from llem_vllm.schema import DEFAULT, load
from llem_vllm.section import GROUPS, section_model

INTRODUCTION = f"""Every key below `vllm:`, as vLLM {DEFAULT} has them, with what it decides, whether that changes energy, and why.
[Backends](../backends.md#vllm) explains how they work together. vLLM's own help is not repeated here: where it is installed,
`python -m llem_vllm.options NAME` shows it beside these facts."""

_ENERGY = {True: "yes", False: "no", None: "parts of it"}


def page() -> str:
    """The whole page."""
    return document("vLLM's options", INTRODUCTION, _parts())


def _parts() -> Iterator[str]:
    model = section_model(load(DEFAULT), RETIRED, OWN)
    fields = dict(fields_of(DEFAULT))
    facts = facts_of(model)
    titles = {"": "## Engine", **{f"{name}.": f"## {name}" for name in GROUPS}}
    for prefix, title in titles.items():
        yield title
        keys = [key for key in facts if _group(key) == prefix]
        yield table(
            ["key", "accepted", "default", "energy", "what it decides, and why"],
            (
                [
                    code(f"vllm.{key}"),
                    escaped(facts[key].accepted),
                    code(_written(facts[key].default)),
                    _ENERGY[fields[key]["energy"] if key in fields else key not in WITHOUT_EFFECT],
                    escaped(facts[key].description),
                ]
                for key in keys
            ),
        )
    yield "## Settled elsewhere"
    yield "Options of vLLM that are no key of a study, with what to write instead."
    settled = [(key, field) for key, field in fields.items() if "set_by" in field]
    yield table(
        ["option", "what it decides, and why", "instead"],
        ([code(key), escaped(field["why"]), escaped(field["set_by"])] for key, field in settled),
    )


def _group(key: str) -> str:
    head = key.partition(".")[0]
    return f"{head}." if head in GROUPS else ""


def _written(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
