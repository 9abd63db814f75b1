"""The table in docs/method/warnings.md: every warning with its weight, from the table that the code uses."""

from __future__ import annotations

from collections.abc import Iterator

from docs.reference_pages.markdown import code, escaped, table
from llem_analysis.warning_codes import WARNINGS, Weight
from llem_analysis.weighing import touched_text

_HEADINGS: dict[Weight, str] = {
    "void": "Void: the metric must not be used",
    "qualify": "Qualify: the metric stands, and whoever quotes it says so",
    "inform": "Inform: no figure changes",
}


def warnings() -> str:
    """A table for each weight."""
    return "\n\n".join(_parts())


def _parts() -> Iterator[str]:
    for weight, heading in _HEADINGS.items():
        kinds = [kind for kind in WARNINGS.values() if kind.weight == weight]
        rows = ([code(k.code), touched_text(k), escaped(k.seen), escaped(k.advice)] for k in kinds)
        yield f"### {heading}"
        yield table(["code", "touches", "what was seen", "what to do with the figures"], rows)
