"""Runs of a study that have no figures: not run yet, broken off, failed, skipped."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llem_analysis.manifest_head import head_beside_results
from llem_analysis.wording import counted

_WORDS = {
    "pending": "not run yet",
    "running": "under way or broken off",
    "interrupted": "interrupted",
    "failed": "failed",
    "skipped": "skipped, since a lower rate was saturated",
}
"""State of an experiment in the manifest, of those that leave no figures, in words."""

_GO_ON = ("pending", "running", "interrupted")


@dataclass(frozen=True)
class RunCounts:
    """Runs of a study.

    Attributes:
        folder: the study's.
        runs: all of them; without those that it turned out not to need, and where its manifest is lost those that left a result.
        missing: state to the number of those without figures.
    """

    folder: Path
    runs: int
    missing: Mapping[str, int]

    def sentences(self) -> Iterator[str]:
        """A sentence where runs are missing."""
        if not self.missing:
            return
        listed = ", ".join(f"{count:,} {_WORDS[state]}" for state, count in self.missing.items())
        go_on = any(self.missing.get(state) for state in _GO_ON)
        advice = f" `llem resume {shlex.quote(str(self.folder))}` goes on with the study." if go_on else ""
        yield (
            f"{sum(self.missing.values()):,} of {counted(self.runs, 'run')} have no figures ({listed}): what is said here is of the "
            f"others, and may be otherwise with them.{advice}"
        )


def run_counts(folder: Path, rows: Sequence[Mapping[str, Any]]) -> RunCounts:
    """Count the runs of a study, by its manifest where that is there.

    Args:
        folder: the study's.
        rows: its results.

    Raises:
        ResultError: the manifest cannot be read, and there are no results either.
    """
    head, _ = head_beside_results(folder, has_results=bool(rows))
    if head is None:
        states = Counter(str(row.get("status")) for row in rows)
        states["failed"] = len(rows) - states["done"]
    else:
        states = Counter(head.totals)
    missing = {state: states[state] for state in _WORDS if states[state]}
    return RunCounts(folder, states["done"] + sum(missing.values()), missing)
