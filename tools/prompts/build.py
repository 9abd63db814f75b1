"""Makes the file of the built-in prompts."""

from __future__ import annotations

import json

from llem.datasets.aienergyscore import FILE, PROVENANCE
from tools.prompts import documents, lengths
from tools.prompts.grammar import read_rules

_WRITERS: dict[str, documents.Kind] = {
    "encyclopedia": documents.encyclopedia,
    "web": documents.web,
    "chat": documents.chat,
}


def content() -> bytes:
    """The whole file: a line of provenance, then one object a line with `kind` and `prompt`. ASCII, the same every time."""
    rules = read_rules()
    made: list[tuple[str, str]] = []
    taken: set[str] = set()
    for rank, ((low, high), kind) in enumerate(zip(lengths.bounds(), lengths.kinds(), strict=True)):
        again = 0
        while (text := documents.write(_WRITERS[kind], rules, f"{rank}.{again}", low, high)) in taken:
            again += 1
            if again == 1_000:
                raise ValueError(f"the grammar has too few texts of kind {kind} with {low} to {high} characters")
        taken.add(text)
        made.append((kind, text))
    head = {"_provenance": PROVENANCE, "_license": "Apache-2.0", "_prompts": len(made)}
    lines = [head, *({"kind": made[rank][0], "prompt": made[rank][1]} for rank in lengths.order())]
    return "".join(json.dumps(line) + "\n" for line in lines).encode("ascii")


def write() -> int:
    """Write the file into the package; its size in bytes."""
    return FILE.write_bytes(content())
