"""`contrast`: experiments or studies against one another, with tests, and with what makes it unsound."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from llem.plugin_api import ConfigError, MetricSpec, ResultError
from llem_analysis import comparability, holm
from llem_analysis.comparability import Difference, Objection
from llem_analysis.comparison import Comparison, compare
from llem_analysis.comparison_input import Compared, choose_baseline, matched, read_place
from llem_analysis.intervals import Interval
from llem_analysis.metric_names import main_figures, metric_specs
from llem_analysis.telling import inform_sentence, tellings
from llem_analysis.weighed_rows import too_few
from llem_analysis.wording import counted


@dataclass(frozen=True)
class Pair:
    """Two configurations.

    Attributes:
        base, other: what they are called; base_study, other_study: their studies' folders.
        figures: figure to its comparison, where both have it and it was not refused; p-values are Holm-corrected over all
            pairs, for each figure.
        configuration, environment: what they differ in.
        work: in what the two did different work; empty where it is the same.
        doubts: what makes the comparison unsound, and what was refused for it.
        estimated: both energies are estimates.
    """

    base: str
    other: str
    base_study: str
    other_study: str
    figures: Mapping[str, Comparison]
    configuration: tuple[Difference, ...]
    environment: tuple[Difference, ...]
    objections: tuple[Objection, ...]
    estimated: bool
    work: tuple[Difference, ...] = ()


@dataclass(frozen=True)
class Overall:
    """A figure over all matched pairs of two studies: the geometric mean of their ratios.

    Attributes:
        pairs: how many have it; ratio; interval: 95 %, by t over the logarithms; p: paired t test of them.
    """

    pairs: int
    ratio: float
    interval: Interval | None
    p: float | None


@dataclass(frozen=True)
class StudyContrast:
    """All pairs.

    Attributes:
        pairs: in the order of the studies.
        overall: figure to what holds over all pairs of the same work; empty unless two studies were matched.
        matched_by: how two studies' configurations were brought together; None where a baseline was compared with others.
        unmatched: names of configurations that only one of two studies has.
        notes: what to know besides, that changes no figure.
    """

    pairs: tuple[Pair, ...]
    overall: Mapping[str, Overall]
    matched_by: str | None
    unmatched: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """As plain data, for JSON."""
        return asdict(self)

    def _repr_html_(self) -> str:
        """The display in a notebook."""
        from llem_analysis.display import contrast_html

        return contrast_html(self)


def contrast(
    paths: Sequence[Path | str],
    *,
    baseline: str | None = None,
    figures: Sequence[str] | None = None,
    anyway: bool = False,
) -> StudyContrast:
    """Compare the first of some experiments or studies with the others.

    One study: its baseline with every other of its configurations. Two studies: each configuration with its like. An
    experiment and others: it with each of them, and with every configuration of a study among them.

    Args:
        paths: studies' or experiments' folders.
        baseline: which configuration of the first study is the baseline; see `choose_baseline`.
        figures: names; by default energy per output token, throughput, latency and memory.
        anyway: compare also what is refused as unsound; the doubts stay.

    Raises:
        ResultError: a path holds no results, or nothing can be matched.
        ConfigError: there is no such figure or baseline.
    """
    specs = metric_specs(figures if figures is not None else main_figures())
    places = [read_place(Path(path), specs) for path in paths]
    first = places[0]
    if baseline is not None and first.kind != "study":
        raise ConfigError("--baseline names a configuration of a study; the first path is one experiment.")
    if len(places) == 2 and baseline is None and all(place.kind == "study" for place in places):
        pairs, how = matched(first, places[1])
        if not pairs:
            raise ResultError(
                "these studies have no configuration and no settings in common.",
                where=f"{paths[0]}, {paths[1]}",
                remedy="Name a baseline (--baseline), or compare two experiments.",
            )
        paired = {id(side) for pair in pairs for side in pair}
        left = [side.name for place in places for side in place.sides if id(side) not in paired]
        found = compared_pairs(pairs, specs, anyway)
        same_work = [pair for pair in found if not pair.work]
        notes = (*_not_averaged(found), *_percentiles(pairs, specs), *_informing(pairs, specs))
        return StudyContrast(found, _overall(same_work, specs), how, tuple(left), notes)
    base = choose_baseline(first, baseline)
    others = [side for place in (places if first.kind == "study" else places[1:]) for side in place.sides]
    pairs = [(base, side) for side in others if not _same(side, base)]
    if not pairs:
        raise ResultError("there is nothing to compare it with.", where=str(paths[0]), remedy="Name a second path.")
    return StudyContrast(
        compared_pairs(pairs, specs, anyway), {}, None, (), (*_percentiles(pairs, specs), *_informing(pairs, specs))
    )


def _same(one: Compared, other: Compared) -> bool:
    return one.study.resolve() == other.study.resolve() and one.candidate.directory == other.candidate.directory


def compared_pairs(
    pairs: Sequence[tuple[Compared, Compared]], specs: Sequence[MetricSpec], anyway: bool
) -> tuple[Pair, ...]:
    """Each pair compared, p-values Holm-corrected over all of them for each metric; `anyway` as in `contrast`."""
    found = [_pair(base, other, specs, anyway) for base, other in pairs]
    for spec in specs:
        tested = [
            i for i, pair in enumerate(found) if spec.name in pair.figures and pair.figures[spec.name].p is not None
        ]
        corrected = holm.adjusted([p for i in tested if (p := found[i].figures[spec.name].p) is not None])
        for i, p in zip(tested, corrected, strict=True):
            one = replace(found[i].figures[spec.name], p_adjusted=p)
            found[i] = replace(found[i], figures={**found[i].figures, spec.name: one})
    return tuple(found)


def _pair(base: Compared, other: Compared, specs: Sequence[MetricSpec], anyway: bool) -> Pair:
    same_study = base.study.resolve() == other.study.resolve()
    objections = list(comparability.objections(base.result, other.result, same_study=same_study))
    refused = set() if anyway else {objection.refused for objection in objections}
    objections += [
        objection for place, side in (("first", base), ("second", other)) for objection in _warned(place, side, specs)
    ]
    # Cycles of two studies did not run together, so they make no pairs.
    order = base.order if same_study else "sequential"
    apart = comparability.apart(base.result, other.result)
    figures = {
        spec.name: replace(
            compare(base.candidate.figures[spec.name].by_cycle, other.candidate.figures[spec.name].by_cycle, order),
            unlike=apart,
        )
        for spec in specs
        if spec.name in base.candidate.figures
        and spec.name in other.candidate.figures
        and "all" not in refused
        and not (spec.energy and "energy" in refused)
    }
    return Pair(
        base=base.name,
        other=other.name,
        base_study=str(base.study),
        other_study=str(other.study),
        figures=figures,
        configuration=comparability.configuration_differences(base.result, other.result),
        environment=comparability.environment_differences(base.result, other.result),
        objections=tuple(objections),
        estimated=base.candidate.estimated or other.candidate.estimated,
        work=comparability.work_differences(base.result, other.result, _varied(base, other)),
    )


def _varied(base: Compared, other: Compared) -> set[str]:
    """Keys that these two differ in because their studies swept them."""
    settings = base.candidate.settings, other.candidate.settings
    keys = {key for one in settings for key in one}
    return {key for key in keys if settings[0].get(key) != settings[1].get(key)}


def _warned(place: str, side: Compared, specs: Sequence[MetricSpec]) -> Iterator[Objection]:
    """Warnings of a side's runs, as far as they void or qualify these figures; both sides may have one name."""
    for one in tellings(side.candidate.rows, [name for spec in specs for name in spec.of]):
        if one.weight != "inform":
            yield Objection(
                one.code, f"of the {place}, {side.name}, {one.runs} of {counted(one.of, 'run')} {one.text}."
            )


def _informing(pairs: Sequence[tuple[Compared, Compared]], specs: Sequence[MetricSpec]) -> tuple[str, ...]:
    """One sentence for warnings that change none of the figures."""
    rows = {id(row): row for pair in pairs for side in pair for row in side.candidate.rows}
    found = [one for one in tellings(rows.values(), [name for s in specs for name in s.of]) if one.weight == "inform"]
    return (inform_sentence(found),) if found else ()


def _not_averaged(found: Sequence[Pair]) -> Iterator[str]:
    """Reason for which pairs are in no geometric mean."""
    unlike = [pair for pair in found if pair.work]
    if unlike:
        keys = ", ".join(dict.fromkeys(difference.key for pair in unlike for difference in pair.work))
        yield (
            f"{len(unlike)} of {counted(len(found), 'pair')} did different work ({keys}) and "
            f"{'are' if len(unlike) > 1 else 'is'} in no geometric mean."
        )


def _percentiles(pairs: Sequence[tuple[Compared, Compared]], specs: Sequence[MetricSpec]) -> Iterator[str]:
    """Reason for which a percentile that was asked for is not compared."""
    rows = [row for pair in pairs for side in pair for row in side.candidate.rows]
    for spec in specs:
        reasons = dict.fromkeys(
            why
            for row in rows
            if (why := next((w for c in spec.of if (w := too_few(c, row)) is not None), None)) is not None
        )
        if reasons:
            yield f"{spec.label} is not compared where {next(iter(reasons))} (ten have to lie beyond a percentile)."


def _overall(found: Sequence[Pair], specs: Sequence[MetricSpec]) -> dict[str, Overall]:
    overall = {}
    for spec in specs:
        ratios = [ratio for pair in found if spec.name in pair.figures and (ratio := pair.figures[spec.name].ratio)]
        logs = [math.log(ratio) for ratio in ratios if ratio > 0]
        if len(logs) < 2:
            continue
        zero = dict.fromkeys(range(len(logs)), 0.0)
        test = compare(zero, dict(enumerate(logs)), "interleaved")
        interval = test.difference_interval
        overall[spec.name] = Overall(
            pairs=len(logs),
            ratio=math.exp(test.difference),
            interval=replace(interval, low=math.exp(interval.low), high=math.exp(interval.high)) if interval else None,
            p=test.p,
        )
    return overall
