"""The options of whoever resumes a study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llem.config.layers import LoadedStudy

GAPS = ("execution.experiment_gap_s", "execution.cycle_gap_s")
"""Keys that `no_gaps` sets to 0."""

_RUN_ALL = "execution.run_all"


@dataclass(frozen=True, kw_only=True)
class ResumeRequest:
    """The options of whoever resumes a study.

    Attributes:
        study: the study as it shall be now (`llem run STUDY.yaml --resume`); None for what it was started with.
        runner: where every backend shall run; None for what it was started with.
        retry_failed: run failed experiments again.
        allow_changes: go on although the study differs from the one that was started.
        as_started: go on as it was started, even where its file was changed since.
        cycles: so many in all; None for as many as before.
        allow_shared: do not wait for another llem that measures on this machine.
        no_gaps: no pauses between experiments and cycles.
        run_skipped: run experiments that were skipped.
    """

    study: LoadedStudy | None = None
    runner: str | None = None
    retry_failed: bool = False
    allow_changes: bool = False
    as_started: bool = False
    cycles: int | None = None
    allow_shared: bool = False
    no_gaps: bool = False
    run_skipped: bool = False

    def settings(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Dotted keys of the study file that are asked for, with their values, of a study that was started with this document."""
        asked: dict[str, Any] = dict.fromkeys(GAPS, 0.0) if self.no_gaps else {}
        if self.run_skipped:
            asked[_RUN_ALL] = True
        if self.cycles is not None:
            until = (document.get("execution") or {}).get("until") or {}
            key = "execution.until.max_cycles" if until.get("ci_width") is not None else "execution.cycles"
            asked[key] = self.cycles
        return asked

    def explains(self, key: str) -> bool:
        """Tell whether a key differs because it was asked for."""
        return (self.cycles is not None and key in {"execution.cycles", "execution.until.max_cycles"}) or (
            (self.no_gaps and key in GAPS) or (self.run_skipped and key == _RUN_ALL)
        )
