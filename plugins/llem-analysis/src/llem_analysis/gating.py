"""`gate`: a candidate held against a baseline by one metric: no worse than a limit, worse, or not to be told."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from llem.plugin_api import MetricSpec, ResultError, of_machine
from llem_analysis import holm, relative
from llem_analysis.comparison import Comparison, p_above
from llem_analysis.comparison_input import Compared, matched, read_place, unmatched
from llem_analysis.contrasting import Pair, compared_pairs
from llem_analysis.cycles_needed import MOST_CYCLES, cycles_for, pooled_spread
from llem_analysis.doubts import doubts
from llem_analysis.gate_limit import limit_of, rule_of
from llem_analysis.intervals import FEWEST, LEVEL
from llem_analysis.metric_names import metric_specs
from llem_analysis.row_environments import differences
from llem_analysis.wording import and_, change, change_span, counted

Verdict = Literal["passed", "failed", "undecided"]

EXIT: dict[Verdict, int] = {"passed": 0, "failed": 1, "undecided": 5}
"""Exit code of each verdict."""

ERROR = (1 - LEVEL) / 2
"""The chance, at the most, that a candidate exactly at the limit is failed, and the chance that it is passed: an end each of the
95 % interval."""


@dataclass(frozen=True)
class GatedPair:
    """One configuration of the baseline and its like in the candidate.

    Attributes:
        name: what it is called; both names where they differ.
        comparison: with its 95 % interval; None where there was nothing to compare.
        p: of the limit being kept, one-sided, Holm-corrected over all pairs; None where there is no test.
        cycles: with so many of each, four of five gates would decide, were the truth what was seen; None where it is decided, takes
            more than 100, or is not to be told.
        reason: why it is undecided; None where it is not.
        estimated: it is energy, and an estimate.
    """

    name: str
    verdict: Verdict
    comparison: Comparison | None
    p: float | None = None
    cycles: int | None = None
    reason: str | None = None
    estimated: bool = False


@dataclass(frozen=True)
class Gate:
    """The verdict over all configurations.

    Attributes:
        verdict: failed where one configuration is, passed where every one of the baseline is, else undecided.
        metric, label, unit: what was judged.
        limit: the ratio of candidate to baseline that is the most (where less is better) or the least.
        rule: the limit in words.
        error: chance, at the most, of a wrong fail at the limit over all configurations, and of a wrong pass.
        pairs: in the order of the baseline.
        matched_by: how configurations were brought together.
        missing: configurations of the baseline that the candidate has not; added: the other way round.
        warnings: what qualifies the metric or makes the comparison doubtful, a sentence each.
        relative_to: the configuration of each study that its others were divided by, cycle by cycle; None where values are judged.
    """

    verdict: Verdict
    metric: str
    label: str
    unit: str
    limit: float
    rule: str
    error: float
    baseline: str
    candidate: str
    pairs: tuple[GatedPair, ...]
    matched_by: str
    missing: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    relative_to: str | None = None

    @property
    def exit_code(self) -> int:
        """0 passed, 1 failed, 5 undecided."""
        return EXIT[self.verdict]

    def document(self) -> dict[str, Any]:
        """As plain data, for JSON."""
        return {**asdict(self), "exit_code": self.exit_code}


def gate(
    baseline: Path | str,
    candidate: Path | str,
    metric: str = "j_per_output_token",
    *,
    max_increase: float | None = None,
    max_decrease: float | None = None,
    anyway: bool = False,
    relative_to: str | None = None,
) -> Gate:
    """Tell whether a candidate is worse than a baseline by more than a limit (non-inferiority).

    A configuration fails where the 95 % interval of the change lies beyond the limit, passes where it lies within, and is undecided
    where the limit lies inside of it. Of several configurations each has to pass; failing is Holm-corrected over them.

    Args:
        baseline: a study's folder, or an experiment's, which stands for all its cycles.
        candidate: likewise.
        metric: its name.
        max_increase: of a metric of which less is better, as a share: 0.03.
        max_decrease: of one of which more is better.
        anyway: judge also what is no fair comparison: other prompts, other work, another machine, an estimate against a measurement.
        relative_to: a configuration of both studies, by its settings or the beginning of its hash: a reference that every other one
            is divided by first, cycle by cycle. Then the machines may differ.

    Raises:
        ConfigError: there is no such metric or reference, or the limit is of the wrong direction.
        ResultError: a path holds no results, the reference has no value, or nothing can be matched.
    """
    (spec,) = metric_specs([metric])
    limit = limit_of(spec, max_increase, max_decrease)
    first, second = read_place(Path(baseline), [spec]), read_place(Path(candidate), [spec])
    references = []
    if relative_to is not None:
        first, base = relative.relative_to(first, relative_to, spec)
        second, other = relative.relative_to(second, relative_to, spec)
        relative.require_same_work((base, other))
        references.append((base, other))
    sides, how = matched(first, second)
    if not sides:
        raise ResultError(
            "these studies have no configuration and no settings in common.",
            where=f"{baseline}, {candidate}",
            remedy="Run the candidate with the study file of the baseline, or name two experiments.",
        )
    reference = references[0][0].name if references else None
    pairs = _judged(sides, spec, limit, anyway, is_relative=bool(references))
    missing, added = unmatched(first, [side for side, _ in sides]), unmatched(second, [side for _, side in sides])
    return Gate(
        verdict=_overall([pair.verdict for pair in pairs], bool(missing)),
        metric=spec.name,
        label=spec.label,
        unit="1" if references else spec.unit,
        limit=limit,
        rule=rule_of(spec, limit, reference),
        error=ERROR,
        baseline=str(baseline),
        candidate=str(candidate),
        pairs=pairs,
        matched_by=how,
        missing=missing,
        added=added,
        warnings=tuple(dict.fromkeys(doubts([*references, *sides], spec.of, ("baseline", "candidate")))),
        relative_to=reference,
    )


def _overall(verdicts: Sequence[Verdict], is_missing: bool) -> Verdict:
    if "failed" in verdicts:
        return "failed"
    return "undecided" if is_missing or "undecided" in verdicts else "passed"


def p_kept(
    base: Mapping[int, float],
    other: Mapping[int, float],
    limit: float,
    better: Literal["lower", "higher"] = "lower",
    order: str = "sequential",
) -> float | None:
    """One-sided p of the limit being kept: small where `other` is beyond it, near 1 where it is well within.

    Args:
        base, other: cycle to value.
        limit: ratio of other to base, the most where lower is better, else the least.
        order: of the study that both ran in; `sequential` pairs no cycles, as of two studies.

    Returns:
        None where there are too few cycles. Values that do not vary give 0 or 1: exactly at the limit they keep it.
    """
    if better == "lower":
        return p_above(base, other, order, limit)
    return p_above(other, base, order, 1 / limit)  # the base is above what the limit leaves of it


def verdict_of(p: float | None, corrected: float | None) -> Verdict:
    """The verdict of a `p_kept`, given also as it is corrected over all that are judged together."""
    if p is None or corrected is None:
        return "undecided"
    if corrected < ERROR:
        return "failed"
    return "passed" if 1 - p < ERROR else "undecided"


@dataclass(frozen=True)
class _Case:
    """A pair on its way to a verdict.

    Attributes:
        found: its comparison, where there is one.
        reason: why it is not judged; None where it is.
        p: one-sided, of the limit being kept; None where there is no test.
        is_relative: values are quotients by a reference of the same machine.
    """

    pair: Pair
    base: Compared
    other: Compared
    spec: MetricSpec
    limit: float
    anyway: bool
    is_relative: bool

    @cached_property
    def found(self) -> Comparison | None:
        return self.pair.figures.get(self.spec.name)

    @cached_property
    def values(self) -> tuple[Mapping[int, float], Mapping[int, float]]:
        """Cycle to value, of both."""
        base, other = (side.candidate.figures[self.spec.name].by_cycle for side in (self.base, self.other))
        return base, other

    @cached_property
    def reason(self) -> str | None:
        refused = next((one for one in self.pair.objections if one.refused is not None), None)
        if refused is not None and self.found is None:
            return refused.text.removesuffix(".")
        for word, side in (("baseline", self.base), ("candidate", self.other)):
            if self.spec.name not in side.candidate.figures:
                shared = "cycle in which it and the reference both have " if self.is_relative else ""
                return f"the {word} has no {shared}{self.spec.label}"
        if self.anyway:
            return None
        if self.pair.work:
            return f"they did different work ({', '.join(one.key for one in self.pair.work)})"
        if self.is_relative:
            return None
        apart = differences(of_machine(side.candidate.environment) for side in (self.base, self.other))
        return f"they ran on machines that differ in {' and '.join(apart)}" if apart else None

    @cached_property
    def p(self) -> float | None:
        if self.found is None or self.reason is not None:
            return None
        order = self.base.order if self.found.paired else "sequential"
        return p_kept(*self.values, self.limit, self.spec.better, order)

    def verdict(self, corrected: float | None, tests: int) -> GatedPair:
        """The verdict, from its p as it is corrected over so many tests."""
        verdict = verdict_of(self.p, corrected)
        cycles, reason = None, self.reason
        if verdict == "undecided" and reason is None and self.found is not None:
            cycles = self.cycles(self.found, tests)
            reason = _why_undecided(self.found, cycles)
        return GatedPair(
            name=self.pair.base if self.pair.base == self.pair.other else f"{self.pair.base} → {self.pair.other}",
            verdict=verdict,
            comparison=self.found,
            p=corrected,
            cycles=cycles,
            reason=reason,
            estimated=self.spec.energy and self.pair.estimated,
        )

    def cycles(self, found: Comparison, tests: int) -> int | None:
        """Number of cycles of each with which four of five gates would decide, were the ratio in truth the one that was seen."""
        if not found.ratio or found.ratio <= 0:
            return None
        distance = math.log(found.ratio / self.limit)
        is_worse = (distance > 0) == (self.spec.better == "lower")
        base, other = self.values
        if found.paired:
            sd = pooled_spread([[math.log(other[cycle] / base[cycle]) for cycle in base.keys() & other.keys()]])
            runs, groups = 1.0, 2
        else:
            sd = pooled_spread([[math.log(value) for value in side.values()] for side in (base, other)])
            # Two groups of n cycles leave 2 (n - 1) degrees of freedom, as three configurations of n cycles do.
            runs, groups = 2.0, 3
        if sd is None or distance == 0:
            return None
        enough = cycles_for(distance, sd, runs, groups, max(1, tests) if is_worse else 1)
        return None if enough is None else max(enough, FEWEST, min(found.n_base, found.n_other) + 1)


def _judged(
    sides: Sequence[tuple[Compared, Compared]], spec: MetricSpec, limit: float, anyway: bool, *, is_relative: bool
) -> tuple[GatedPair, ...]:
    compared = compared_pairs(sides, [spec], anyway)
    cases = [_Case(pair, *both, spec, limit, anyway, is_relative) for pair, both in zip(compared, sides, strict=True)]
    tested = [case for case in cases if case.p is not None]
    corrected = holm.adjusted([case.p for case in tested if case.p is not None])
    p_of = {id(case): p for case, p in zip(tested, corrected, strict=True)}
    return tuple(case.verdict(p_of.get(id(case)), len(tested)) for case in cases)


def _why_undecided(found: Comparison, cycles: int | None) -> str:
    would = f"about {cycles} cycles of each would tell it, were the truth what was seen"
    if min(found.n_base, found.n_other) < FEWEST:
        few = f"it takes {FEWEST} cycles of each or more"
        return few if cycles is None else f"{few}; {would}"
    if cycles is None:
        return f"the limit lies inside the interval, so near what was seen that {MOST_CYCLES} cycles of each would not tell it"
    return f"the limit lies inside the interval; {would}"


def verdict_text(found: Gate) -> str:
    """The verdict as a sentence."""
    count = {word: sum(pair.verdict == word for pair in found.pairs) for word in EXIT}
    of = counted(len(found.pairs), "configuration")
    if found.verdict == "passed":
        return f"passed: {found.rule}, and does not go beyond it in {of}."
    if found.verdict == "failed":
        return f"failed: {found.rule}, and goes beyond it in {count['failed']} of {of}."
    parts = []
    if count["undecided"]:
        parts.append(f"{count['undecided']} of {of} {'is' if count['undecided'] == 1 else 'are'} undecided")
    if found.missing:
        parts.append(f"the candidate lacks {counted(len(found.missing), 'configuration')} of the baseline")
    return f"cannot tell: {found.rule}, and {and_(parts)}."


def change_text(pair: GatedPair) -> str:
    """`+2.1 % (+0.4 % to +3.9 %)`; empty where there is none."""
    if pair.comparison is None or pair.comparison.ratio is None:
        return ""
    mark = "~" if pair.estimated else ""
    text = f"{mark}{change(pair.comparison.ratio, 1)}"
    interval = pair.comparison.ratio_interval
    return text if interval is None else f"{text} ({mark}{change_span(interval)})"
