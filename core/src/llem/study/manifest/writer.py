"""Writes the manifest of a running study: the journal at each change, a snapshot now and then."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llem.results.job_directory import write_atomically
from llem.results.store import MANIFEST
from llem.study.manifest.journal import JOURNAL, Journal
from llem.study.manifest.manifest import PREVIOUS, ExperimentState, StudyManifest, StudyState, now_utc

SMALL = 500
"""Up to so many experiments a snapshot follows each change."""


class ManifestWriter:
    """Keeps the manifest exact on disk, at a cost for each change that does not grow with the study.

    A writer begins with both snapshots equal to `manifest` and an empty journal, for a new study as for one that goes on.

    Raises (every method): OSError where the folder cannot be written; what is on disk stays valid and is the last state
    that could be written.
    """

    def __init__(self, directory: Path, manifest: StudyManifest) -> None:
        self.manifest = manifest
        self._path = directory / MANIFEST
        self._previous = directory / PREVIOUS
        # A snapshot costs as much as the study is long, so it is due after a share of the study: a handful in all.
        count = len(manifest.experiments)
        self._interval = 1 if count <= SMALL else max(SMALL, count // 4)
        self._since_snapshot = 0
        text = manifest.text()
        # In this order: at each step the first snapshot with the journal that is there gives this state or the one before.
        write_atomically(self._path, text)
        write_atomically(self._previous, text)
        self._journal = Journal(directory / JOURNAL)

    def experiment(
        self,
        position: int,
        state: ExperimentState,
        *,
        started_at: str | None = None,
        ended_at: str | None = None,
        failure: Mapping[str, Any] | None = None,
        files: Mapping[str, str] | None = None,
        reason: str | None = None,
    ) -> None:
        """An experiment enters a state."""
        told = {"started_at": started_at, "ended_at": ended_at, "failure": failure, "files": files, "reason": reason}
        self._change({"position": position, "state": state, **told})

    def study(self, state: StudyState) -> None:
        """The study enters a state; a snapshot follows."""
        ended_at = None if state == "running" else now_utc()
        self._change({"study": {"state": state, "ended_at": ended_at}})
        if self._since_snapshot:
            self.snapshot()

    def snapshot(self) -> None:
        """Rewrite `manifest.json`, and keep the one before it."""
        temporary = self._previous.with_name(f"{PREVIOUS}.{os.getpid()}.tmp")
        temporary.unlink(missing_ok=True)
        try:
            temporary.hardlink_to(self._path)
        except OSError:
            # Not every file system has links. The copy is of a whole file: only this process replaces it.
            temporary.write_bytes(self._path.read_bytes())
        temporary.replace(self._previous)
        write_atomically(self._path, self.manifest.text())
        self._since_snapshot = 0

    def close(self) -> None:
        """Close the journal."""
        self._journal.close()

    def _change(self, values: dict[str, Any]) -> None:
        change = {"seq": self.manifest.seq + 1, **values}
        self._journal.append(change)
        self.manifest.apply(change)
        self._since_snapshot += 1
        if self._since_snapshot >= self._interval:
            self.snapshot()
