"""The Pareto front: configurations than which no other is better in one figure without being worse in another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from llem.plugin_api import MetricSpec
from llem_analysis.candidates import Candidate, candidates, refuse_mixed
from llem_analysis.comparison import PAIRS_CYCLES
from llem_analysis.intervals import Interval, mean
from llem_analysis.loading import load_rows, study_name, study_order
from llem_analysis.metric_names import metric_specs
from llem_analysis.selected import Noise, is_told_lower, log_interval, noise_of
from llem_analysis.telling import caveat_sentences

if TYPE_CHECKING:
    from llem.plugin_api import StudyResult

OBJECTIVES = ("j_per_output_token", "tokens_per_s")


Membership = Literal["on", "off", "open"]


@dataclass(frozen=True)
class FrontPoint:
    """One configuration among the others.

    Attributes:
        values: figure to its mean over cycles; intervals: figure to its 95 % interval, where there are 3 cycles; over
            logarithms, so that it never reaches 0.
        on_front: by these means no other is better in one figure and at least as good in all.
        membership: what cycles tell: `on` or `off` the front, or `open`; None where there are too few cycles.
        alike: on the front, labels of those that cycles tell from it in no figure.
    """

    config_hash: str
    label: str
    settings: Mapping[str, Any]
    values: Mapping[str, float]
    intervals: Mapping[str, Interval]
    on_front: bool
    membership: Membership | None = None
    alike: tuple[str, ...] = ()


@dataclass(frozen=True)
class Front:
    """A study's configurations by two figures or more.

    Attributes:
        figures: names; labels and units and better in the same order.
        points: the front first, by the first figure from its best value on; then the others.
        missing: configurations that lack one of the figures.
        cautions: what the runs warn of.
        estimated: energy is no measurement: show it with a `~`.
    """

    study: str
    figures: tuple[str, ...]
    labels: tuple[str, ...]
    units: tuple[str, ...]
    better: tuple[str, ...]
    points: tuple[FrontPoint, ...]
    missing: tuple[str, ...]
    estimated: bool
    cautions: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """As plain data, for JSON."""
        return asdict(self)

    def _repr_html_(self) -> str:
        """The display in a notebook."""
        from llem_analysis.display import front_html

        return front_html(self)


def pareto(study: Path | str | StudyResult, figures: Sequence[str] = OBJECTIVES) -> Front:
    """The front of a study by these figures, means over cycles.

    Raises:
        ResultError: there is no study, or its energy was found by different methods.
        ConfigError: there is no such figure.
    """
    specs = metric_specs(figures)
    name, where = study_name(study)
    rows = load_rows(study, specs)
    found = candidates(rows, specs)
    refuse_mixed(found, specs, where)
    whole = [one for one in found if all(spec.name in one.figures for spec in specs)]
    flags = on_front([[one.figures[spec.name].mean for spec in specs] for one in whole], specs)
    paired = PAIRS_CYCLES.get(study_order(study), False)
    told = _told(whole, specs, flags, paired)
    points = [
        FrontPoint(
            config_hash=one.config_hash,
            label=one.label,
            settings=one.settings,
            values={spec.name: one.figures[spec.name].mean for spec in specs},
            intervals={s.name: i for s in specs if (i := log_interval(one.figures[s.name].values)) is not None},
            on_front=flag,
            membership=membership,
            alike=tuple(whole[other].label for other in alike),
        )
        for one, flag, (membership, alike) in zip(whole, flags, told, strict=True)
    ]
    sign = 1 if specs[0].better == "lower" else -1
    points.sort(key=lambda p: (not p.on_front, sign * p.values[specs[0].name]))
    return Front(
        study=name,
        figures=tuple(spec.name for spec in specs),
        labels=tuple(spec.label for spec in specs),
        units=tuple(spec.unit for spec in specs),
        better=tuple(spec.better for spec in specs),
        points=tuple(points),
        missing=tuple(one.label for one in found if one not in whole),
        estimated=any(spec.energy for spec in specs) and any(one.estimated for one in whole),
        cautions=tuple(caveat_sentences(rows, [name for spec in specs for name in spec.of])),
    )


def _told(
    found: Sequence[Candidate], specs: Sequence[MetricSpec], flags: Sequence[bool], paired: bool
) -> list[tuple[Membership | None, tuple[int, ...]]]:
    """Evidence of each one's place by its cycles: whether it is on the front, and who is not told from it."""
    axes: list[tuple[list[float], Noise]] = []
    for spec in specs:
        sign = 1.0 if spec.better == "lower" else -1.0
        logs = [{c: sign * math.log(v) for c, v in one.figures[spec.name].by_cycle.items()} for one in found]
        noise = noise_of(logs, paired=paired)
        if noise is None:
            return [(None, ())] * len(found)
        axes.append(([mean(list(one.values())) for one in logs], noise))
    comparisons = max(1, (len(found) - 1) * len(specs))

    def better(one: int, other: int) -> bool:
        """Told to be better in some figure."""
        return any(is_told_lower(means, noise, one, other, comparisons) for means, noise in axes)

    fronts = [i for i, flag in enumerate(flags) if flag]
    told: list[tuple[Membership | None, tuple[int, ...]]] = []
    for one, flag in enumerate(flags):
        if flag:
            open_to = [other for other in range(len(found)) if other != one and not better(one, other)]
            alike = tuple(other for other in open_to if not better(other, one))
            told.append(("open" if open_to else "on", alike))
        else:
            is_beaten = any(better(other, one) and not better(one, other) for other in fronts)
            told.append(("off" if is_beaten else "open", ()))
    return told


def on_front(points: Sequence[Sequence[float]], specs: Sequence[MetricSpec]) -> list[bool]:
    """For each point whether no other is at least as good in all figures and better in one. Equal points stay together."""
    signed = [tuple(v if spec.better == "lower" else -v for v, spec in zip(p, specs, strict=True)) for p in points]
    found = [False] * len(points)
    front: list[tuple[float, ...]] = []
    # In this order a point can only be beaten by one that came before it.
    for place in sorted(range(len(points)), key=signed.__getitem__):
        one = signed[place]
        if not any(other != one and all(a <= b for a, b in zip(other, one, strict=True)) for other in front):
            found[place] = True
            if not front or front[-1] != one:
                front.append(one)
    return found
