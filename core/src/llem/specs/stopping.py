"""A stopping rule: tells when an experiment has been repeated often enough (`execution.until`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from llem.results.models import ExperimentResult

Level = Literal["info", "warning"]


@dataclass(frozen=True, kw_only=True)
class StoppingSpec:
    """Registration of a stopping rule, by `llem_stopping_rules`. The first that is registered is used.

    Attributes:
        name: a word for `llem plugins`.
        api_version: the `API_VERSION` that it was written for.
        summary: one line for `llem plugins`.
        rule: `package.module:Class` of the `StoppingRule`; called with the study's `execution.until` (an `UntilConfig`) and the
            registry, once for a study that asks for it.
    """

    name: str
    api_version: int
    summary: str
    rule: str


class StoppingRule(Protocol):
    """Follows the cycles of each experiment, known by its identity. Used by one thread."""

    def add(self, config_hash: str, label: str, result: ExperimentResult) -> None:
        """Take in a cycle that ended, done or failed, now or at an earlier start; `label` names its experiment for people."""

    def is_met(self, config_hash: str) -> tuple[Level, str] | None:
        """The reason why an experiment needs no further cycle, and whether that is good news; None where it does."""

    def needs(self, config_hash: str, cycle: int) -> bool:
        """Tell whether this cycle (from 1) is known to be needed, before the ones ahead of it have all ended."""

    def unfinished(self) -> Iterator[str]:
        """A sentence for each experiment that had all its cycles and is not repeated enough yet."""
