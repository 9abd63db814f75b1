"""Sentences on the warnings of runs, due before something is concluded from their figures.

Pure functions over rows of `results.parquet`. The weights are those of the core's table of warnings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llem_analysis.warning_codes import FEW, IMPOSSIBLE, WARNINGS, WarningKind, Weight, kind_of, touches
from llem_analysis.weighed_rows import VOIDED, qualities_of, weighed
from llem_analysis.weighing import GRAVITY, codes_of, touched_text


@dataclass(frozen=True)
class Telling:
    """One warning over some runs, for certain figures.

    Attributes:
        weight: for these figures; a warning that touches none of them informs.
        runs: how many have it; of: out of how many.
        text: a clause that goes on after `runs`: `were throttled (`thermal_throttle`)`.
    """

    code: str
    weight: Weight
    runs: int
    of: int
    text: str

    @property
    def sentence(self) -> str:
        """`3 of 12 runs were throttled (`thermal_throttle`).`"""
        return f"{self.runs:,} of {self.of:,} run{'s' * (self.of != 1)} {self.text}."


def tellings(rows: Iterable[Mapping[str, Any]], columns: Collection[str]) -> list[Telling]:
    """Sentences on runs that are done, due before something is concluded from these columns; the gravest first."""
    done = [weighed(row) for row in rows if row.get("status") == "done"]
    runs: Counter[str] = Counter()
    weights: dict[str, Weight] = {}
    known: dict[tuple[object, ...], Weight] = {}
    for row in done:
        for code in (*codes_of(row), *_few(row, columns)):
            runs[code] += 1
            # Of a run only its meter decides the weight, unless its own values do: runs are many, and differ little.
            key = (code, row.get("energy.headline.scope"), row.get("energy.headline.method"))
            if code in _BY_VALUES or key not in known:
                known[key] = _weight(kind_of(code), row, columns)
            if GRAVITY[known[key]] < GRAVITY[weights.get(code, "inform")]:
                weights[code] = known[key]
    places = {code: place for place, code in enumerate(WARNINGS)}
    found = [
        Telling(code, weight, count, len(done), _text(kind_of(code), weight, done, columns))
        for code, count in runs.items()
        for weight in (weights.get(code, "inform"),)
    ]
    return sorted(found, key=lambda one: (GRAVITY[one.weight], places.get(one.code, len(places)), one.code))


_BY_VALUES = (IMPOSSIBLE, FEW)
"""Codes that a row's values tell, and no warning of the run."""


def _few(row: Mapping[str, Any], columns: Collection[str]) -> tuple[str, ...]:
    """Told only where such a percentile is asked for: every short run of an earlier version has some."""
    voided = weighed(row).get(VOIDED)
    return (FEW,) if voided and any(voided.get(column) == FEW for column in columns) else ()


def _weight(kind: WarningKind, row: Mapping[str, Any], columns: Collection[str]) -> Weight:
    if kind.code in _BY_VALUES:
        voided = dict(weighed(row).get(VOIDED) or {})
        return "void" if any(voided.get(column) == kind.code for column in columns) else "inform"
    touched = any(touches(kind, qualities_of(column, row)) for column in columns)
    return kind.weight if touched else "inform"


def _text(kind: WarningKind, weight: Weight, rows: Sequence[Mapping[str, Any]], columns: Collection[str]) -> str:
    if weight != "void":
        return f"{kind.runs} (`{kind.code}`)"
    left_out = touched_text(kind)
    if kind.code in _BY_VALUES:
        voided = [dict(weighed(row).get(VOIDED) or {}) for row in rows]
        named = [c for c in columns if any(one.get(c) == kind.code for one in voided)]
        left_out = ", ".join(named)
    return f"{kind.runs} (`{kind.code}`), left out: their {left_out}"


def caveat_sentences(rows: Iterable[Mapping[str, Any]], columns: Collection[str]) -> Iterator[str]:
    """A sentence for each warning that voids or qualifies these columns, and one at the end for all that inform."""
    found = tellings(rows, columns)
    yield from (one.sentence for one in found if one.weight != "inform")
    if informing := [one for one in found if one.weight == "inform"]:
        yield inform_sentence(informing)


def inform_sentence(found: Sequence[Telling]) -> str:
    """One sentence for all warnings that change none of the figures."""
    listed = "; ".join(f"{one.runs:,} of {one.of:,} {one.text}" for one in found)
    return f"For information, of runs whose figures here do not change by it: {listed}."
