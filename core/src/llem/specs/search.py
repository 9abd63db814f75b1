"""Decisions by a study's results so far: a search, which asks for the next run, and a rule by which runs are skipped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from llem.config.experiment import ExperimentConfig
from llem.config.study import SearchConfig
from llem.results.models import ExperimentResult


@dataclass(frozen=True, kw_only=True)
class SearchSpec:
    """Registration of a search, by `llem_searches`.

    Attributes:
        name: the word in `execution.search.goal`.
        api_version: the `API_VERSION` that it was written for.
        summary: one line for `llem plugins`.
        key: dotted key of an experiment, of which each run has another value, such as `load.rate_rps`. A study that varies it by
            itself is refused.
        search: `package.module:Class` of the `Search`; called with a `SearchContext` when a plan is made.
    """

    name: str
    api_version: int
    summary: str
    key: str
    search: str


@dataclass(frozen=True, kw_only=True)
class SearchContext:
    """A search's context.

    Attributes:
        settings: as the study has them (`execution.search`).
        configurations: what is searched, each by itself.
        labels: a name of each for people.
    """

    settings: SearchConfig
    configurations: Sequence[ExperimentConfig]
    labels: Sequence[str]


class Search(Protocol):
    """Asks for runs and is told them. Made with a `SearchContext`, which it refuses by a ConfigError; used by one thread.

    A configuration has one run at a time, and `max_runs` at the most. What it asks for must follow from what it was told alone: a
    study that goes on makes a new one, and tells it all results that were kept.
    """

    def plan(self) -> Sequence[str]:
        """Sentences on what it will do, for `--dry-run`."""

    def next(self, configuration: int) -> float | None:
        """The value to run next of a configuration (its place, from 0); None where its search is over."""

    def settings(self, configuration: int, value: float) -> Mapping[str, Any]:
        """Further dotted keys with their values, of the run with this value; the same at every call."""

    def ended(self, configuration: int, value: float, result: ExperimentResult, job_dir: Path) -> None:
        """Take in a run that ended, done or failed."""

    def answer(self) -> Mapping[str, Any]:
        """The answer so far, as plain data that is kept as `search.json`; under `said` a list of sentences for people."""


class SkipRule(Protocol):
    """Tells which runs of a scenario are in vain after what has ended. Made without arguments, one for a study."""

    def ended(self, config: ExperimentConfig, result: ExperimentResult) -> None:
        """Take in a run that ended, done or failed."""

    def reason(self, config: ExperimentConfig) -> str | None:
        """The reason to skip an experiment that has not run, as a sentence; None where it is to run."""
