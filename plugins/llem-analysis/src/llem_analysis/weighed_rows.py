"""A result's figures weighed by its warnings: what is left out of conclusions.

Pure functions over rows of `results.parquet`. The weights are those of `llem_analysis.warning_codes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from llem_analysis.warning_codes import FEW, IMPOSSIBLE, Quality, kind_of, touches

VOIDED = "voided"
"""Key of a weighed row: column to the code for which its value was left out."""

_MACHINE_WIDE = frozenset({"cpu", "dram", "host"})
_ENERGY: frozenset[Quality] = frozenset({"energy"})
_FAMILIES: tuple[tuple[str, frozenset[Quality]], ...] = (
    ("energy.window_s", frozenset()),
    ("energy.headline.unreliable", frozenset()),
    ("energy.stages.", frozenset({"energy", "stages"})),
    ("energy.", _ENERGY),
    ("throughput.", frozenset({"speed"})),
    ("flops.per_s", frozenset({"speed"})),
    ("flops.mfu", frozenset({"speed"})),
    ("latency.", frozenset({"latency"})),
    ("memory.", frozenset({"memory"})),
    # Names of a scenario's own figures, as `ScenarioFigures` lays them down.
    ("scenario_metrics.attainment", frozenset({"latency"})),
    ("scenario_metrics.good", frozenset({"latency", "speed"})),
    ("scenario_metrics.achieved", frozenset({"speed"})),
)
_POSITIVE = (
    "energy.headline.",
    "throughput.",
    "latency.",
    "memory.",
)
_MAY_BE_ZERO = frozenset({"n", "std", "min", "adjusted_j"})
"""Last words of columns that 0 is possible for."""


def qualities_of(column: str, row: Mapping[str, Any] | None = None) -> frozenset[Quality]:
    """Qualities of a column's value, as warnings touch it; of a row's energy also whether the whole machine shares it."""
    found = next((qualities for prefix, qualities in _FAMILIES if column.startswith(prefix)), frozenset[Quality]())
    if "energy" not in found:
        return found
    more: set[Quality] = set(found)
    if column.rpartition(".")[2].startswith("adjusted"):
        more.add("adjusted_energy")
    if row is not None and _is_machine_wide(column, row):
        more.add("machine_energy")
    return frozenset(more)


def _is_machine_wide(column: str, row: Mapping[str, Any]) -> bool:
    parts = column.split(".")
    if parts[1] in ("headline", "stages"):
        return row.get("energy.headline.scope") in _MACHINE_WIDE or row.get("energy.headline.method") == "estimate"
    return parts[1] in _MACHINE_WIDE or "estimate" in parts  # energy.SCOPE.METHOD.…


def weighed(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """The row without the values that its warnings void, nor those that are not possible; `VOIDED` names both."""
    if VOIDED in row:
        return row
    voided = dict(_voided(row))
    return {**row, **dict.fromkeys(voided), VOIDED: voided} if voided else row


def mark_whole(rows: Iterable[dict[str, Any]], columns: Iterable[str]) -> None:
    """Note in each row of which nothing is left out that this is so: `weighed` takes it as it is, without a second look.

    Args:
        columns: all that the rows have.
    """
    checked = [column for column in columns if _checks(column) is not None]
    for row in rows:
        if VOIDED not in row and next(_voided(row, checked), None) is None:
            row[VOIDED] = {}


def _voided(row: Mapping[str, Any], columns: Iterable[str] | None = None) -> Iterator[tuple[str, str]]:
    if row.get("status", "done") != "done":
        return
    voiding = [kind for code in row.get("warnings") or () if (kind := kind_of(code)).weight == "void"]
    for column in row if columns is None else columns:
        if (checks := _checks(column)) is None or (value := row.get(column)) is None:
            continue
        if voiding:
            qualities = qualities_of(column, row)
            if qualities and (code := next((kind.code for kind in voiding if touches(kind, qualities)), None)):
                yield column, code
                continue
        if checks.positive and not (type(value) is float and 1e-30 < value < 1e30) and is_impossible(column, value):
            yield column, IMPOSSIBLE
        elif checks.percentile and too_few(column, row) is not None:
            yield column, FEW


_CONCLUSIVE = tuple(prefix for prefix, qualities in _FAMILIES if qualities)


class _Checks(NamedTuple):
    """Checks that apply to a column's values besides those of warnings."""

    positive: bool
    percentile: bool


@lru_cache(maxsize=4096)
def _checks(column: str) -> _Checks | None:
    """The checks of a column; None where nothing is concluded from it. Kept by name, since every row has the same columns."""
    if not column.startswith(_CONCLUSIVE):
        return None
    return _Checks(column.startswith(_POSITIVE), column.startswith("latency.") and column.rpartition(".")[2] in _LEAST)


def is_impossible(column: str, value: Any) -> bool:
    """True for a figure that work which was done cannot have: below 0, 0 where that is no value, or so far out that squares overflow."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not column.startswith(_POSITIVE):
        return False
    return not (0 if column.rpartition(".")[2] in _MAY_BE_ZERO else 1e-30) <= value < 1e30


def too_few(column: str, row: Mapping[str, Any]) -> str | None:
    """Reason for which a column's percentile does not stand, where fewer than ten observations lie beyond it."""
    family, _, last = column.rpartition(".")
    least, n = _LEAST.get(last), row.get(f"{family}.n")
    if not column.startswith("latency.") or least is None or n is None or n >= least:
        return None
    return f"{last} takes {least:,} observations, and there are {n:,}"


_LEAST = {"p90": 100, "p95": 200, "p99": 1_000}
