"""`replication`: a study that was run again, held against the original figure by figure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from llem.plugin_api import ConfigError, Environment, MetricSpec, ResultError, differing, of_machine
from llem_analysis import holm
from llem_analysis.comparison_input import Compared, matched, read_place, unmatched
from llem_analysis.contrasting import Pair, compared_pairs
from llem_analysis.doubts import doubts
from llem_analysis.equivalence import ERROR, EXIT, LEVEL, MARGIN, Equivalence, Verdict, equivalence
from llem_analysis.metric_names import metric_specs
from llem_analysis.relative import ratios

HEADLINES = ("j_per_output_token", "tokens_per_s", "ttft_p50_s", "tpot_p50_s")
"""Energy, throughput and latency: the figures that are judged where nobody asks for others, as far as the original has them."""

_SOFTWARE = ("driver", "CUDA", "persistence mode")
"""Facts of a machine that its owner installs: two cards of one kind with other drivers are like hardware."""


@dataclass(frozen=True)
class JudgedFigure:
    """One figure of one configuration.

    Attributes:
        name: of the configuration; both names where they differ.
        against: the configuration that both are divided by first, on unlike hardware; None where the figure itself is judged.
        judged: the verdict with its interval; None where there was nothing to judge.
        reason: why it is undecided; None where it is not.
        estimated: it is energy, and an estimate.
    """

    name: str
    metric: str
    label: str
    unit: str
    verdict: Verdict
    judged: Equivalence | None
    against: str | None = None
    reason: str | None = None
    estimated: bool = False


@dataclass(frozen=True)
class Replication:
    """The verdict over all figures of all configurations.

    Attributes:
        verdict: equivalent where every figure is; different where one is, also after Holm's correction over all of them; else undecided.
        margin: of a ratio, as a share; error: chance of each of the two errors, at the most; level: of the intervals.
        unlike: in what the hardware differs, a clause each; then ratios between configurations are judged.
        changed: in what versions, runner, image, driver or meter differ, likewise.
        figures: configuration by configuration.
        matched_by: how configurations were brought together.
        missing: configurations of the original that the replica has not; added: the other way round.
        warnings: what qualifies a figure or makes the comparison doubtful, a sentence each.
    """

    verdict: Verdict
    margin: float
    error: float
    level: float
    unlike: tuple[str, ...]
    changed: tuple[str, ...]
    figures: tuple[JudgedFigure, ...]
    matched_by: str
    missing: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 equivalent, 1 different, 5 undecided."""
        return EXIT[self.verdict]

    @property
    def count(self) -> Mapping[Verdict, int]:
        """Number of figures of each verdict."""
        return {word: sum(figure.verdict == word for figure in self.figures) for word in EXIT}

    def document(self) -> dict[str, Any]:
        """As plain data, for JSON."""
        return {**asdict(self), "exit_code": self.exit_code}

    def text(self) -> str:
        """All of it for people: verdict, table, notes."""
        from llem_analysis.replica_text import replication_lines

        return "\n".join(replication_lines(self))


def replication(
    original: Path | str, replica: Path | str, metrics: Sequence[str] | None = None, *, margin: float = MARGIN
) -> Replication:
    """Judge a study that was run again, figure by figure, by two one-sided tests at 5 % each.

    On unlike hardware the figures themselves are not judged, but the ratio of each configuration to the study's first.

    Args:
        original: folder of the study.
        replica: folder of the one that was run again.
        metrics: names; by default energy per output token, throughput, time to first token and per output token.
        margin: as a share, above 0.

    Raises:
        ConfigError: there is no such metric, or no such margin.
        ResultError: a path holds no results, or nothing can be matched.
    """
    if not 0 < margin < 1:
        raise ConfigError(f"a margin of {margin * 100:g} % judges nothing.", remedy="Give one above 0 and below 100 %.")
    specs = metric_specs(metrics if metrics is not None else HEADLINES)
    first, second = read_place(Path(original), specs), read_place(Path(replica), specs)
    sides, how = matched(first, second)
    if not sides:
        raise ResultError(
            "it has no configuration and no settings in common with the original.",
            where=str(replica),
            remedy="Judge a run of the study that was prepared from the bundle.",
        )
    if metrics is None:
        specs = [one for one in specs if any(one.name in base.candidate.figures for base, _ in sides)]
    unlike = tuple(dict.fromkeys(text for both in sides for text in _hardware(both)))
    pairs = compared_pairs(sides, specs, anyway=False)
    cases = [_Case(pair, *both) for pair, both in zip(pairs, sides, strict=True)]
    figures = tuple(_relative(cases, specs, margin) if unlike else _absolute(cases, specs, margin))
    missing = unmatched(first, [base for base, _ in sides])
    columns = [column for spec in specs for column in spec.of]
    return Replication(
        verdict=overall(figures, bool(missing)),
        margin=margin,
        error=ERROR,
        level=LEVEL,
        unlike=unlike,
        changed=tuple(dict.fromkeys(text for both in sides for text in _changed(both))),
        figures=figures,
        matched_by=how,
        missing=missing,
        added=unmatched(second, [other for _, other in sides]),
        warnings=tuple(dict.fromkeys(doubts(sides, columns, ("original", "replica")))),
    )


def overall(figures: Sequence[JudgedFigure], is_missing: bool) -> Verdict:
    """The verdict over all figures: one that differs counts as corrected over all of them."""
    ps = [p for one in figures if one.judged is not None and (p := one.judged.p_different) is not None]
    if ps and min(holm.adjusted(ps)) < ERROR:
        return "different"
    is_whole = bool(figures) and not is_missing
    return "equivalent" if is_whole and all(one.verdict == "equivalent" for one in figures) else "undecided"


def _environments(both: tuple[Compared, Compared]) -> tuple[Environment, Environment]:
    base, other = (side.candidate.environment for side in both)
    return base, other


def _of_hardware(environment: Environment) -> Environment:
    machine = of_machine(environment)
    return machine.only(name for name, _ in machine.facts if name not in _SOFTWARE)


def _hardware(both: tuple[Compared, Compared]) -> Iterator[str]:
    """A clause for each fact of the hardware that differs; a GPU that only one of them has is one."""
    base, other = (_of_hardware(one) for one in _environments(both))
    yield from (f"{one.name}: was {one.first}, is {one.second}" for one in differing(base, other))
    if (base.get("GPU") is None) != (other.get("GPU") is None):
        yield f"GPU: was {base.get('GPU') or 'none that is known'}, is {other.get('GPU') or 'none that is known'}"
    before, now = ((side.result.environment.get("cpu") or {}).get("logical_cpus") for side in both)
    if before is not None and now is not None and before != now:
        yield f"logical CPUs: was {before}, is {now}"


def _changed(both: tuple[Compared, Compared]) -> Iterator[str]:
    """A clause for each other fact that differs, and for another meter."""
    base, other = _environments(both)
    hardware = {name for one in (base, other) for name, _ in _of_hardware(one).facts}
    for one in differing(base, other):
        if one.name not in hardware:
            yield f"{one.name}: was {one.first}, is {one.second}"
    before, now = ((side.result.environment.get("python") or {}).get("version") for side in both)
    if before != now:
        yield f"Python: was {before}, is {now}"
    runners = [_runner(side) for side in both]
    if all(runners) and runners[0][0] != runners[1][0]:
        yield f"runner: was {':'.join(runners[0])}, is {':'.join(runners[1])}"
    was, is_ = (_meter(side) for side in both)
    if was != is_:
        yield f"energy: was by {was}, is by {is_}"


def _runner(side: Compared) -> tuple[str, ...]:
    """Name and argument of the runner, as `docker` and an image; nothing where it is not told."""
    study = side.result.environment.get("study")
    of_run = study.get("runner") if isinstance(study, dict) else None
    told = (of_run.get(key) for key in ("name", "argument")) if isinstance(of_run, dict) else ()
    return tuple(str(one) for one in told if one)


def _meter(side: Compared) -> str:
    kinds = sorted(f"{method} of the {scope}" for scope, method in side.candidate.kinds)
    return " and ".join(kinds) or "nothing"


@dataclass(frozen=True)
class _Case:
    """A configuration on its way to verdicts."""

    pair: Pair
    base: Compared
    other: Compared

    @cached_property
    def name(self) -> str:
        return self.pair.base if self.pair.base == self.pair.other else f"{self.pair.base} → {self.pair.other}"

    def reason(self, spec: MetricSpec) -> str | None:
        """The reason why this figure is not judged; None where it is."""
        for objection in self.pair.objections:
            if objection.refused == "all" or (objection.refused == "energy" and spec.energy):
                return objection.text.removesuffix(".")
        if self.pair.work:
            return f"they did different work ({', '.join(one.key for one in self.pair.work)})"
        for word, side in (("original", self.base), ("replica", self.other)):
            if spec.name not in side.candidate.figures:
                return f"the {word} has no {spec.label}"
        return None

    def values(self, spec: MetricSpec) -> tuple[Mapping[int, float], Mapping[int, float]]:
        """Cycle to value, of both."""
        base, other = (side.candidate.figures[spec.name].by_cycle for side in (self.base, self.other))
        return base, other

    def figure(self, spec: MetricSpec, against: str | None = None) -> JudgedFigure:
        """The figure while nothing is judged."""
        estimated = spec.energy and self.pair.estimated
        return JudgedFigure(
            self.name, spec.name, spec.label, spec.unit, "undecided", None, against, self.reason(spec), estimated
        )


def _absolute(cases: Sequence[_Case], specs: Sequence[MetricSpec], margin: float) -> Iterator[JudgedFigure]:
    for case in cases:
        for spec in specs:
            figure = case.figure(spec)
            yield figure if figure.reason else _decided(figure, *case.values(spec), margin)


def _relative(cases: Sequence[_Case], specs: Sequence[MetricSpec], margin: float) -> Iterator[JudgedFigure]:
    """Ratios of each configuration to the first, cycle by cycle."""
    if len(cases) < 2:
        alone = "on unlike hardware only ratios between configurations are judged, and both have one in common"
        for case in cases:
            yield from (replace(case.figure(spec), reason=alone) for spec in specs)
        return
    reference = cases[0]
    for case in cases[1:]:
        for spec in specs:
            figure = case.figure(spec, reference.name)
            if figure.reason is None and (why := reference.reason(spec)) is not None:
                figure = replace(figure, reason=f"of {reference.name}: {why}")
            if figure.reason is None:
                pairs = zip(case.values(spec), reference.values(spec), strict=True)
                base, other = (ratios(one, to) for one, to in pairs)
                if base and other:
                    yield _decided(figure, base, other, margin)
                    continue
                figure = replace(figure, reason="the two have no cycle in common")
            yield figure


def _decided(
    figure: JudgedFigure, base: Mapping[int, float], other: Mapping[int, float], margin: float
) -> JudgedFigure:
    found = equivalence(base, other, margin)
    return replace(figure, verdict=found.verdict, judged=found, reason=found.reason)
