"""The runs of a study of loads as curves: one for each configuration that is the same but for how much arrives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from llem.plugin_api import MetricSpec
from llem_analysis.candidates import Candidate, candidates
from llem_analysis.design import frozen
from llem_analysis.loading import load_rows
from llem_analysis.metric_names import METRIC_SPECS
from llem_analysis.metric_summary import MetricSummary
from llem_serving.config import SloConfig
from llem_serving.judging.asked import LIMITS

State = Literal["steady", "untested", "unsteady", "saturated"]

SCENARIO = "server"
ENERGY = "j_per_good_token"
ACHIEVED, OFFERED, ATTAINMENT = "achieved_rps", "offered_rps", "attainment"
ASKED = "config.load.rate_rps"

AMOUNT = ("rate_rps", "concurrency", "duration_s", "parts", "ramp_s", "steady_s", "drain_s", "seed")
"""Keys of `load` that say how much arrives and how it is measured: they move a configuration along its curve."""

_SLO = tuple(f"config.slo.{key}" for key in SloConfig.model_fields)
_ARRIVED = "scenario_metrics.arrived_requests"
_STATES: tuple[tuple[str, State], ...] = (
    ("saturated", "saturated"),
    ("unsteady", "unsteady"),
    ("steadiness_untested", "untested"),
)


@dataclass(frozen=True)
class Point:
    """One configuration under one load.

    Attributes:
        rate: requests/s that were asked for; of users who wait for answers, those that arrived.
        figures: metric to its values over cycles, those that it has.
        attainment: share of requests that kept the study's own objectives, of all cycles together.
        kept: it is the wanted one at least, and no cycle saturated; None where the study has no objectives, or it is not told.
        state: the worst of its cycles'.
        marked, runs: cycles in that state, and in all.
        directories: of its cycles, relative to the study's folder.
    """

    label: str
    rate: float
    figures: Mapping[str, MetricSummary]
    attainment: float | None
    kept: bool | None
    state: State
    marked: int
    runs: int
    directories: tuple[str, ...]

    @property
    def is_sound(self) -> bool:
        """True where it may stand in a curve with others: it was steady, or there was nothing to be steady."""
        return self.state in ("steady", "untested")


@dataclass(frozen=True)
class Curve:
    """One configuration under all its loads, by rate."""

    label: str
    points: tuple[Point, ...]

    @cached_property
    def within(self) -> int:
        """Number of its points, from the lowest rate on, that keep the objectives without a gap: beyond them lies the edge."""
        for place, point in enumerate(self.points):
            if not (point.kept and point.is_sound):
                return place
        return len(self.points)

    @property
    def edge(self) -> float | None:
        """The highest rate up to which the objectives were kept, where a higher one was tried; None where there is no such rate."""
        return self.points[self.within - 1].rate if 0 < self.within < len(self.points) else None


@dataclass(frozen=True)
class Loads:
    """A study's loads.

    Attributes:
        curves: in the study's order.
        slo: the objectives that its results were judged by; None where they have none, or differ.
        is_mixed: objectives differ between experiments.
        kinds: scope and method of energy, of all.
    """

    curves: tuple[Curve, ...]
    slo: SloConfig | None
    is_mixed: bool
    kinds: frozenset[tuple[str | None, str]]

    @property
    def estimated(self) -> bool:
        """Tell whether energy is an estimate."""
        return any(method == "estimate" for _, method in self.kinds)

    @property
    def states(self) -> frozenset[State]:
        """The states of all points."""
        return frozenset(point.state for curve in self.curves for point in curve.points)


def loads_of(folder: Path, names: Sequence[str]) -> Loads:
    """The loads of a study's folder, with these metrics; no curve where no load has run.

    Raises:
        ResultError: there is no study.
    """
    specs = [METRIC_SPECS[name] for name in dict.fromkeys([*names, ACHIEVED, OFFERED, ATTAINMENT])]
    rows = load_rows(folder, specs, [*_SLO, ASKED, _ARRIVED])
    served = [row for row in rows if row.get("scenario") == SCENARIO and row.get("status") == "done"]
    found = candidates(served, specs)
    slos = {tuple(row.get(name) for name in _SLO) for one in found for row in one.rows}
    has_limits = any(dict(zip(_SLO, slo, strict=True)).get(f"config.slo.{key}") for slo in slos for key in LIMITS)
    slo = _slo(slos.pop()) if len(slos) == 1 and has_limits else None
    grouped: dict[str, list[tuple[Candidate, Point]]] = {}
    for one in found:
        point = _point(one, specs, slo)
        if point is not None:
            grouped.setdefault(frozen(_apart(one.settings)), []).append((one, point))
    return Loads(
        curves=tuple(_curve(members) for members in grouped.values()),
        slo=slo,
        is_mixed=len(slos) > 1 and has_limits,
        kinds=frozenset(kind for one in found for kind in one.kinds),
    )


def _slo(values: Sequence[Any]) -> SloConfig:
    known = {key: value for key, value in zip(SloConfig.model_fields, values, strict=True) if value is not None}
    return SloConfig.model_construct(**known)


def _apart(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in {f"load.{name}" for name in AMOUNT}}


def _curve(members: Sequence[tuple[Candidate, Point]]) -> Curve:
    from llem_report.charts.style import short_label

    settings = _apart(members[0][0].settings)
    one = members[0][0]
    label = short_label(settings, f"{one.model} on {one.backend}")
    return Curve(label, tuple(sorted((point for _, point in members), key=lambda point: point.rate)))


def _point(one: Candidate, specs: Sequence[MetricSpec], slo: SloConfig | None) -> Point | None:
    asked = [rate for row in one.rows if isinstance(rate := row.get(ASKED), int | float)]
    offered = one.figures.get(OFFERED)
    if not asked and offered is None:
        return None
    state, marked = _state(one.rows)
    attainment = _attainment(one.rows)
    kept = None if slo is None or attainment is None else attainment >= slo.attainment and state != "saturated"
    return Point(
        label=one.label,
        rate=asked[0] if asked else offered.mean if offered is not None else 0.0,
        figures={spec.name: one.figures[spec.name] for spec in specs if spec.name in one.figures},
        attainment=attainment,
        kept=False if slo is not None and state == "saturated" else kept,
        state=state,
        marked=marked,
        runs=len(one.rows),
        directories=tuple(str(row["directory"]) for row in one.rows),
    )


def _state(rows: Sequence[Mapping[str, Any]]) -> tuple[State, int]:
    codes = Counter(code for row in rows for code in set(row.get("warnings") or ()))
    return next(((state, codes[code]) for code, state in _STATES if codes[code]), ("steady", 0))


def _attainment(rows: Sequence[Mapping[str, Any]]) -> float | None:
    """Of all cycles together, as far as warnings leave them."""
    column = METRIC_SPECS[ATTAINMENT].column
    told = [
        (share, n) for row in rows if (share := row.get(column)) is not None and (n := row.get(_ARRIVED)) is not None
    ]
    arrived = sum(n for _, n in told)
    return sum(share * n for share, n in told) / arrived if arrived else None
