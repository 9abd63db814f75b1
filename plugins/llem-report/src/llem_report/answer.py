"""The first thing that a report says: what matters most, which configuration follows from it, and what that one costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from llem.plugin_api import ConfigError, MetricSpec, ResultError
from llem_analysis.metric_names import METRIC_SPECS
from llem_analysis.wording import amount, counted, percent
from llem_report.models import Answer, Mean, ReportConfiguration

if TYPE_CHECKING:
    from llem_analysis.picking import Pick

BY = ("j_per_good_token", "j_per_output_token", "tokens_per_s")
"""A configuration is chosen by the first of these that the study has."""

COSTS = ("j_per_output_token", "tokens_per_s", "ttft_p50_s", "tpot_p50_s", "peak_memory_mb")
"""Metrics in which a choice is judged besides."""

MOST_EQUAL = 4
"""Number of configurations that are named as equally good."""

ALIKE = 0.005
"""A metric that is within this share of the best one costs nothing."""


def answer_of(
    findings: Sequence[str], configurations: Sequence[ReportConfiguration], pick: Callable[[str], Pick]
) -> Answer:
    """The answer that a study gives.

    Args:
        findings: sentences, the most important first.
        configurations: as they stand in the report.
        pick: picks the best configuration by a figure; may raise ResultError or ConfigError.
    """
    sentence = findings[0] if findings else None
    by = next((name for name in BY if any(name in one.figures for one in configurations)), None)
    if by is None or len(configurations) < 2:
        return Answer(sentence)
    if all(one.runs < 2 for one in configurations):
        return Answer(sentence, no_choice=_once(configurations, METRIC_SPECS[by]))
    try:
        chosen = pick(by)
    except (ResultError, ConfigError) as error:
        return Answer(sentence, no_choice=f"No configuration is called best: {error}")
    own = next((one for one in configurations if one.config_hash == chosen.config_hash), None)
    costs = tuple(_costs(own, configurations, by)) if own is not None else ()
    return Answer(sentence, _choice(chosen), costs, _equal(chosen))


def _once(configurations: Sequence[ReportConfiguration], spec: MetricSpec) -> str:
    having = [one for one in configurations if spec.name in one.figures]
    best = _best(having, spec)
    mark = "~" * (spec.energy and best.estimated)
    extreme = "lowest" if spec.better == "lower" else "highest"
    return (
        f"Every configuration ran once, so none is called best: one run does not tell a difference from chance. The {extreme} "
        f"{spec.label} seen was {mark}{amount(best.figures[spec.name].mean)} {spec.unit}, with {best.label}."
    )


def _choice(chosen: Pick) -> str:
    figure, spec = chosen.figures[chosen.by], METRIC_SPECS[chosen.by]
    mark = "~" * (chosen.estimated and spec.energy)
    interval = figure.interval
    span = (
        f" (95 % interval {mark}{amount(interval.low)} to {mark}{amount(interval.high)} {spec.unit})"
        if interval is not None
        else " (too few cycles for an interval)"
    )
    extreme = "Lowest" if spec.better == "lower" else "Highest"
    return f"{extreme} {spec.label}: {chosen.label}, with {mark}{amount(figure.value)} {spec.unit}{span}.{_objectives(chosen)}"


def _objectives(chosen: Pick) -> str:
    """A sentence on the objectives that a choice had to keep."""
    if chosen.objectives is None:
        of_good = any(name.startswith("scenario_metrics.good") for name in METRIC_SPECS[chosen.by].of)
        return " No share of requests had to keep objectives (`llem pick --slo`)." if of_good else ""
    kept = "is the only one" if chosen.kept == 1 else f"is one of {chosen.kept}"
    return f" It {kept} of {counted(chosen.considered, 'configuration')} that kept the study's objectives: {chosen.objectives}."


def _equal(chosen: Pick) -> str | None:
    if chosen.as_good is None:
        return "Whether another one is as good cannot be told from so few cycles."
    if not chosen.as_good:
        return None
    named = "; ".join(chosen.as_good[:MOST_EQUAL])
    more = f" and {len(chosen.as_good) - MOST_EQUAL:,} more" if len(chosen.as_good) > MOST_EQUAL else ""
    return f"{counted(len(chosen.as_good), 'configuration')} cannot be told from it: {named}{more}."


def _costs(own: ReportConfiguration, configurations: Sequence[ReportConfiguration], by: str) -> Iterator[str]:
    """Price of the chosen configuration against the best in each other metric."""
    for name in COSTS:
        mine: Mean | None = own.figures.get(name)
        having = [one for one in configurations if name in one.figures]
        if name == by or mine is None or len(having) < 2:
            continue
        spec = METRIC_SPECS[name]
        best = _best(having, spec)
        theirs = best.figures[name].mean
        mark = "~" * (spec.energy and own.estimated)
        value = f"{spec.label[0].upper()}{spec.label[1:]}: {mark}{amount(mine.mean)} {spec.unit}"
        if best is own:
            yield f"{value}, the best of all."
        elif theirs > 0 and abs(mine.mean / theirs - 1) < ALIKE:
            yield f"{value}, as good as the best."
        elif theirs > 0 and mine.mean > 0:
            yield f"{value}, {_apart(mine.mean / theirs)} the best ({mark}{amount(theirs)} {spec.unit}, with {best.label})."


def _apart(ratio: float) -> str:
    if ratio >= 2:
        return f"{amount(ratio)} times"
    return f"{percent(abs(ratio - 1))} {'above' if ratio > 1 else 'below'}"


def _best(configurations: Sequence[ReportConfiguration], spec: MetricSpec) -> ReportConfiguration:
    def value(one: ReportConfiguration) -> float:
        figures: Mapping[str, Mean] = one.figures
        return figures[spec.name].mean

    return (min if spec.better == "lower" else max)(configurations, key=value)
