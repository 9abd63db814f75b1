"""Caveats for a reader of an analysis about the runs that it is made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llem.plugin_api import Environment, of_machine
from llem_analysis.design import ENVIRONMENT, Configured
from llem_analysis.metric_names import METRIC_SPECS, main_figures
from llem_analysis.row_environments import differences
from llem_analysis.study_models import FigureAnalysis
from llem_analysis.telling import inform_sentence, tellings
from llem_analysis.wording import counted

WAITING = (
    "in the scenario offline an engine that queues requests itself counts their waiting in time to first token and "
    "end-to-end latency, and one that is given batch after batch does not: compare these by measurement.scenario: "
    "single_stream"
)
"""The reason why latencies of two backends are not of the same, as the end of a sentence."""

_WITH_WAITING = ("ttft_", "e2e_")


def caveats(
    rows: Sequence[Mapping[str, Any]],
    configurations: Sequence[Configured],
    figures: Sequence[FigureAnalysis],
    asked: Sequence[str] | None = None,
) -> tuple[str, ...]:
    """Sentences, the gravest first.

    Args:
        figures: what was analysed.
        asked: names of the figures that were asked for, also those that no run has (any more); by default the main ones.
    """
    names = main_figures() if asked is None else asked
    columns = [
        c for name in dict.fromkeys([*names, *(figure.name for figure in figures)]) for c in METRIC_SPECS[name].of
    ]
    told = tellings(rows, columns)
    sentences = list(_caveats(rows, configurations, figures))
    # What the runs themselves warn of comes before what the design leaves open, and what changes nothing at the end.
    grave = [one.sentence for one in told if one.weight != "inform"]
    informing = [one for one in told if one.weight == "inform"]
    return (*grave, *sentences, *([inform_sentence(informing)] if informing else []))


def _caveats(
    rows: Sequence[Mapping[str, Any]], configurations: Sequence[Configured], figures: Sequence[FigureAnalysis]
) -> Iterator[str]:
    if any(figure.estimated for figure in figures):
        yield "~ marks energy that was estimated (CPU utilisation times rated power), not measured."
    for figure in figures:
        if figure.reason is not None:
            yield f"{figure.label} was not analysed: {figure.reason}."
    if any(figure.name.startswith(_WITH_WAITING) for figure in figures) and _in_other_queues(configurations):
        yield f"{WAITING[0].upper()}{WAITING[1:]}."
    yield from _unlike_environments(configurations)
    missing = len(rows) - sum(len(c.rows) for c in configurations)
    if missing:
        yield f"{missing:,} of {counted(len(rows), 'run')} failed or cannot be read, and {'are' if missing > 1 else 'is'} left out."
    fewest = min((len(c.rows) for c in configurations), default=0)
    if fewest == 1 and any(len(c.rows) > 1 for c in configurations):
        once = sum(len(c.rows) == 1 for c in configurations)
        yield f"{counted(once, 'configuration')} ran once; what the others vary between cycles stands in for {'them' if once > 1 else 'it'}."


def _in_other_queues(configurations: Sequence[Configured]) -> bool:
    offline = {c.backend for c in configurations if any(row.get("scenario") == "offline" for row in c.rows)}
    return len(offline) > 1


def _unlike_environments(configurations: Sequence[Configured]) -> Iterator[str]:
    runs: Counter[str] = Counter()
    for one in configurations:
        if one.kind is not None:
            runs[one.kind] += len(one.rows)
    if not runs:
        return
    of_configuration: dict[str, list[Environment]] = {}
    for one in configurations:
        of_configuration.setdefault(one.key, []).append(one.environment)
    split = sum(len(found) > 1 for found in of_configuration.values())
    apart = " and ".join(dict.fromkeys(n for kind in _grouped(configurations) for n in kind))
    listed = "; ".join(f"{kind}: {counted(count, 'run')}" for kind, count in runs.items())
    cycles = f", within {counted(split, 'configuration')} between cycles" if split else ""
    yield (
        f"The study ran in environments that differ in {apart}{cycles} ({listed}). Unlike cycles are not averaged: "
        f"`{ENVIRONMENT}` counts as a parameter, and where it goes together with another one, their effects are one."
    )


def _grouped(configurations: Sequence[Configured]) -> Iterator[list[str]]:
    """The names of facts that differ: of the machine over the study, of anything between cycles of one configuration."""
    yield differences(of_machine(one.environment) for one in configurations)
    for key in dict.fromkeys(one.key for one in configurations):
        yield differences(one.environment for one in configurations if one.key == key)
