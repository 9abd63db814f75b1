"""The parts of a report: plain frozen dataclasses, filled by `llem_report.gather`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from llem_analysis.auditing import Audit
from llem_analysis.study_models import StudyAnalysis


@dataclass(frozen=True)
class FigureColumn:
    """A figure of the table of experiments.

    Attributes:
        key: in `ReportStudy.rows` and `ReportConfiguration.figures`.
        label: for people, without unit.
        better: which direction is.
        energy: it comes from a meter: shown with a `~` where the row's `estimated` is true.
    """

    key: str
    label: str
    unit: str
    better: Literal["lower", "higher"]
    energy: bool = False


@dataclass(frozen=True, slots=True)
class Mean:
    """A figure over the cycles of one configuration.

    Attributes:
        low, high: 95 % interval; None where cycles do not tell it.
        n: cycles that have it.
    """

    mean: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class ReportConfiguration:
    """One configuration that has a run that is done, on one kind of node.

    Attributes:
        label: what sets it apart, on one line; settings: the same, key to value.
        runs: how many are done.
        figures: by key, those that it has.
        phases_j: joules by phase of a run, mean over runs, of the devices that its energy is of.
        scope, method: of its energy; None where it has none or cycles differ.
        config: the keys in which the configurations of its backend differ, dotted.
        directories: of its runs, relative to the study's folder.
        disturbed: codes of warnings that concern a comparison.
    """

    config_hash: str
    label: str
    backend: str | None
    settings: Mapping[str, Any]
    runs: int
    figures: Mapping[str, Mean]
    phases_j: Mapping[str, float]
    estimated: bool
    scope: str | None
    method: str | None
    config: Mapping[str, Any]
    directories: Sequence[str]
    disturbed: Sequence[str]


@dataclass(frozen=True)
class Answer:
    """Answer of a study, for a reader who reads nothing else.

    Attributes:
        sentence: the most important finding, with its interval; None where there is none.
        choice: the configuration that follows, with its value and interval.
        costs: what it gives up in other metrics, a sentence each.
        equal: the configurations that cannot be told from it.
        no_choice: why none is chosen.
        searched: what a search of the study found, in sentences; it stands before all else.
    """

    sentence: str | None = None
    choice: str | None = None
    costs: tuple[str, ...] = ()
    equal: str | None = None
    no_choice: str | None = None
    searched: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReportStudy:
    """All that a report says of a study.

    Attributes:
        directory: its folder; title: its name.
        state: of the study: `running`, `complete`, `broken off`, …; `unknown` where no manifest tells.
        finished: no llem works on it any more.
        counts: experiments in all (`experiments`) and by state.
        rows: one for each experiment that has ended, in the study's order: `position`, `cycle`, `config_hash`,
            `configuration` (place in `configurations`, None where none of its runs is done), `label`, `backend`, `settings`,
            `status`, `failure` (a sentence or None), `estimated`, `warnings` (`{"code", "message"}` each), `directory`,
            `environment` (place in `environments` or None), and each key of `figures_of_table` (None: not measured).
        figures_of_table: the figures that any row has.
        parameters: keys in which the configurations differ.
        configurations: those with a run that is done.
        common: backend to the configured keys that all its configurations share, dotted.
        answer: the first screen's.
        findings: sentences, the most important first.
        no_findings: why there are none, or None.
        analysis: effects, interactions, shares of variance; None where there is nothing to analyse.
        warnings: sentences on what to know about the runs.
        environments: one for each kind of environment: machine, versions, meters.
        versions: package to the versions that runs had of it; llem and engines only.
        method: sentences: what was measured how, over which window.
        citation: text for a paper, with BibTeX.
        scenarios: that it has runs of.
        audit: of the study, where one was asked for.
    """

    directory: Path
    title: str
    state: str
    finished: bool
    counts: Mapping[str, int]
    rows: Sequence[Mapping[str, Any]]
    figures_of_table: Sequence[FigureColumn]
    parameters: Sequence[str]
    configurations: Sequence[ReportConfiguration]
    common: Mapping[str, Mapping[str, Any]]
    answer: Answer
    findings: Sequence[str]
    no_findings: str | None
    analysis: StudyAnalysis | None
    warnings: Sequence[str]
    environments: Sequence[Mapping[str, Any]]
    versions: Mapping[str, Sequence[str]]
    method: Sequence[str]
    citation: str
    scenarios: Sequence[str] = ()
    audit: Audit | None = None
