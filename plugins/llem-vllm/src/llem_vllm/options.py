"""`python -m llem_vllm.options [NAME…]`: what options of vLLM are, in our words, and vLLM's own help where it is installed.

Without a name it lists every option that a study may give. A name is a key below `vllm:`, such as `max_num_seqs` or
`compilation_config.mode`; for an option that is settled elsewhere it says where.
"""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence

from llem.plugin_api import closest
from llem_engines.schemas import Field, dotted
from llem_vllm.config import SCHEMA_VERSION
from llem_vllm.schema import SCHEMAS
from llem_vllm.section import GROUPS

_WIDTH = 100


def main(arguments: Sequence[str] | None = None) -> int:
    """Print them; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m llem_vllm.options", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="a key below `vllm:`")
    names = parser.parse_args(arguments).names
    known = dict(fields_of(SCHEMA_VERSION))
    if not names:
        for key, field in known.items():
            if "set_by" not in field and "value" in field:
                print(f"{key}: {field['why']}")
        return 0
    for name in names:
        if name not in known:
            near = closest(name, known)
            hint = f"Did you mean `{near}`?" if near else "Without a name this lists all."
            print(f"vLLM {SCHEMA_VERSION} has no option `{name}`. {hint}", file=sys.stderr)
            return 2
    helps = help_texts() if SCHEMAS.installed() is not None else {}
    print("\n\n".join("\n".join(_told(name, known[name], helps.get(name))) for name in names))
    if not helps:
        print(f"\nWhere vLLM {SCHEMA_VERSION} is installed, its own help stands here too.")
    return 0


def fields_of(version: str) -> Iterator[tuple[str, Field]]:
    """Every option of a schema, and every part of one, by its key below `vllm:`."""
    schema = SCHEMAS.load(version)
    yield from dotted(schema["engine"])
    for group in GROUPS:
        yield from dotted(schema[group], f"{group}.")


def help_texts() -> Mapping[str, str]:
    """vLLM's own help, read out of the vLLM that is installed, by the key below `vllm:`. Imports vLLM, which takes seconds."""
    from llem_vllm.schema.introspect import introspect

    raw = introspect()
    found = list(dotted(raw["engine"]))
    for group in GROUPS:
        found += dotted(raw[group], f"{group}.")
    return {key: field["description"] for key, field in found if field["description"]}


def _told(name: str, field: Field, help_text: str | None) -> Iterator[str]:
    energy = {True: "yes", False: "no", None: "some of its parts do"}[field["energy"]]
    yield f"vllm.{name}"
    yield from textwrap.wrap(f"{field['why']}.", _WIDTH, initial_indent="  ", subsequent_indent="  ")
    yield f"  changes energy: {energy}"
    yield f"  type: {field['type']}"
    yield f"  default: {json.dumps(field['default'], ensure_ascii=False)}"
    if "choices" in field:
        yield from textwrap.wrap(
            f"choices: {', '.join(map(str, field['choices']))}", _WIDTH, initial_indent="  ", subsequent_indent="    "
        )
    if "set_by" in field:
        yield f"  no key of a study: {field['set_by']}"
    if help_text:
        yield f"  vLLM {SCHEMAS.installed()} says:"
        for paragraph in help_text.split("\n\n"):
            yield from textwrap.wrap(paragraph, _WIDTH, initial_indent="    ", subsequent_indent="    ")


if __name__ == "__main__":
    sys.exit(main())
