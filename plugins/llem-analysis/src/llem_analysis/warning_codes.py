"""The one table of warnings, `warnings.toml`: what each code means, which metrics it touches, and with which weight.

Whoever draws a conclusion (show, analyze, compare, pick, pareto, report, export) asks this table by
`llem_analysis.weighed_rows`, and nobody keeps a list of codes of their own. docs/method/warnings.md is written from it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

Weight = Literal["void", "qualify", "inform"]
"""`void`: the metric must not be used. `qualify`: it stands, and whoever quotes it says so. `inform`: no figure changes."""

Quality = Literal["energy", "machine_energy", "adjusted_energy", "stages", "speed", "latency", "memory", "work"]
"""A family of metrics that a warning can touch.

`energy` is every energy figure; `machine_energy` those of a scope that the whole machine shares (cpu, dram, host, any
estimate); `adjusted_energy` what rests on idle power; `stages` prefill and decode apart; `speed` throughput; `work` says
that other work was done than the study asked for, which touches every metric.
"""


@dataclass(frozen=True)
class WarningKind:
    """One row of the table.

    Attributes:
        code: the stable word in a result's `warnings`.
        weight: how much it takes from the metrics that it touches.
        touches: these metrics.
        runs: said of runs that have it, after their number: `3 of 12 runs …`.
        seen: what was observed, for the documentation.
        advice: what to do with the figures.
    """

    code: str
    weight: Weight
    touches: frozenset[Quality]
    runs: str
    seen: str
    advice: str


def _rows() -> Iterator[WarningKind]:
    for code, row in tomllib.loads(Path(__file__).with_name("warnings.toml").read_text("utf-8")).items():
        weight, touches = row.pop("weight"), frozenset(row.pop("touches"))
        if weight not in get_args(Weight) or not touches <= set(get_args(Quality)):
            raise ValueError(f"warnings.toml: {code} has a weight or touches a family of metrics that there is not")
        yield WarningKind(code, weight, touches, **row)


WARNINGS: dict[str, WarningKind] = {kind.code: kind for kind in _rows()}
"""Every code that llem itself gives."""

UNRELIABLE, IMPOSSIBLE, FEW = "unreliable", "impossible_value", "few_observations"
"""Codes that stand in no result's `warnings`: they are told from its figures when it is read."""


def kind_of(code: str) -> WarningKind:
    """The row of a code. One that the table lacks, as of a plugin, qualifies every metric: better doubted than believed."""
    return WARNINGS.get(code) or WarningKind(
        code, "qualify", frozenset({"work"}), f"have the warning `{code}`", "see its message", "see its message"
    )


def touches(kind: WarningKind, qualities: frozenset[Quality]) -> bool:
    """True where a warning concerns one of these qualities; `work` concerns all, `energy` every part of it."""
    if "work" in kind.touches or kind.touches & qualities:
        return True
    return "energy" in kind.touches and bool(qualities & {"machine_energy", "adjusted_energy", "stages"})
