"""Codes that concern rows, columns that hold impossible values, and the weight of a warning in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from llem.plugin_api import is_json
from llem_analysis.warning_codes import IMPOSSIBLE, UNRELIABLE, Quality, WarningKind, Weight, kind_of, touches
from llem_analysis.weighed_rows import VOIDED, is_impossible, qualities_of, weighed

if TYPE_CHECKING:
    import pyarrow as pa

QUALITIES: dict[Quality, str] = {
    "energy": "energy",
    "machine_energy": "energy of what the whole machine shares (CPU, DRAM, host, estimates)",
    "adjusted_energy": "adjusted energy",
    "stages": "energy of prefill and decode",
    "speed": "throughput",
    "latency": "latency",
    "memory": "memory",
    "work": "every figure",
}
"""Each family of metrics, as it is called in sentences."""

GRAVITY: dict[Weight, int] = {"void": 0, "qualify": 1, "inform": 2}
"""Place of each weight where the gravest warnings come first."""


def codes_of(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Every code that concerns a row, each once, with those that its figures tell (`unreliable`, `impossible_value`)."""
    found = dict.fromkeys(row.get("warnings") or ())
    if row.get("energy.headline.unreliable"):
        found[UNRELIABLE] = None
    if (voided := weighed(row).get(VOIDED)) and IMPOSSIBLE in voided.values():
        found[IMPOSSIBLE] = None
    return tuple(found)


def voiding_code(codes: Iterable[str], column: str) -> str | None:
    """The first of these codes that voids a column's value; None where none does."""
    return next(
        (c for c in codes if (kind := kind_of(c)).weight == "void" and touches(kind, qualities_of(column))), None
    )


def holds_impossible(table: pa.Table, column: str) -> bool:
    """True for a column of a table of results that holds such a value, or may hold one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not is_impossible(column, -1):
        return False
    called: Any = pc
    field = table.schema.field(column)
    if pa.types.is_floating(field.type) or pa.types.is_integer(field.type):
        ends = called.min_max(table.column(column)).as_py()
        return any(is_impossible(column, end) for end in ends.values())
    return is_json(field)


def touched_text(kind: WarningKind) -> str:
    """The metrics that a warning touches, for people: `energy, throughput and latency`."""
    names = [QUALITIES[quality] for quality in QUALITIES if quality in kind.touches]
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else "no figure"
