"""The manifest: what a study planned and what became of each experiment, exact on disk at every instant.

`manifest.json` is a snapshot, replaced atomically. A study of many experiments does not rewrite it at each change, which
would cost more the longer the study is: changes are appended to `journal.jsonl`, and `read_manifest` replays those that
the snapshot does not hold yet.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from llem.errors import ResultError
from llem.results.job_directory import write_atomically
from llem.results.store import MANIFEST, read_object
from llem.study.journal import JOURNAL, Journal, read_changes

MANIFEST_SCHEMA = 1

StudyState = Literal["running", "complete", "interrupted", "stopped"]
ExperimentState = Literal["pending", "running", "done", "failed", "interrupted", "not_needed"]

_STATES: tuple[ExperimentState, ...] = get_args(ExperimentState)
_STUDY_STATES: tuple[StudyState, ...] = get_args(StudyState)

SMALL = 500
"""Up to so many experiments the snapshot is rewritten at each change, and there is no journal."""


def now_utc() -> str:
    """This moment as manifests and results write it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(slots=True)
class Entry:
    """One experiment of the study.

    Attributes:
        state: `not_needed` where earlier cycles of it sufficed (`execution.until`); it has no job directory.
        position: place in the study's order, from 1.
        cycle: which repetition, from 1.
        directory: its job directory, relative to the study's folder.
        point: the swept keys with their values.
        started_at, ended_at: UTC, ISO 8601; None where it has not.
        failure: type, message, phase, exit code and signal in short, where it failed.
    """

    position: int
    cycle: int
    config_hash: str
    directory: str
    point: Mapping[str, Any] = field(default_factory=dict)
    state: ExperimentState = "pending"
    started_at: str | None = None
    ended_at: str | None = None
    failure: Mapping[str, Any] | None = None


@dataclass
class StudyManifest:
    """The whole account. `seq` counts the changes that it holds.

    Attributes:
        order, seed, cycles, until: of the execution, so that the order can be told again; cycles are the most there can be,
            until is None where it is not asked for.
        experiments: in the order in which they run; position p at index p - 1.
    """

    name: str
    created_at: str
    llem_version: str
    study_design_hash: str
    order: str
    seed: int
    cycles: int
    experiments: list[Entry]
    state: StudyState = "running"
    ended_at: str | None = None
    until: Mapping[str, Any] | None = None
    seq: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.counts = Counter(entry.state for entry in self.experiments)

    @property
    def totals(self) -> dict[str, int]:
        """Experiments in all, and by state."""
        return {"experiments": len(self.experiments)} | {state: self.counts[state] for state in _STATES}

    def apply(self, change: Mapping[str, Any]) -> None:
        """Make one change: `seq`, and either `position` with an entry's new values or `study` with the study's.

        Raises:
            ValueError: it does not follow the last change, or is none.
        """
        if change.get("seq") != self.seq + 1:
            raise ValueError(f"change {change.get('seq')} does not follow {self.seq}")
        position = change.get("position")
        if position is None:
            study = change["study"]
            if study["state"] not in _STUDY_STATES:
                raise ValueError(f"no state of a study: {study['state']}")
            self.state, self.ended_at = study["state"], study["ended_at"]
        elif not 1 <= position <= len(self.experiments) or change["state"] not in _STATES:
            raise ValueError(f"no state of an experiment: {position}, {change['state']}")
        else:
            entry = self.experiments[position - 1]
            self.counts[entry.state] -= 1
            entry.state = change["state"]
            self.counts[entry.state] += 1
            entry.started_at, entry.ended_at = change["started_at"], change["ended_at"]
            entry.failure = change["failure"]
        self.seq += 1

    def text(self) -> str:
        """The JSON of the snapshot, one experiment a line."""
        head = {
            "schema_version": MANIFEST_SCHEMA,
            "name": self.name,
            "created_at": self.created_at,
            "ended_at": self.ended_at,
            "llem_version": self.llem_version,
            "study_design_hash": self.study_design_hash,
            "order": self.order,
            "seed": self.seed,
            "cycles": self.cycles,
            "until": self.until,
            "state": self.state,
            "totals": self.totals,
            "seq": self.seq,
        }
        lines = [f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)},\n" for key, value in head.items()]
        rows = ",\n".join(f"  {json.dumps(_row(entry), ensure_ascii=False)}" for entry in self.experiments)
        return "{\n" + "".join(lines) + ' "experiments": [\n' + rows + "\n ]\n}\n"


_COLUMNS = tuple(f.name for f in fields(Entry))


def _row(entry: Entry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in _COLUMNS}


class ManifestWriter:
    """Keeps the manifest of a running study exact on disk, at a cost for each change that does not grow with the study.

    Raises (every method): OSError where the folder cannot be written; what is on disk stays valid and is the last state
    that could be written.
    """

    def __init__(self, directory: Path, manifest: StudyManifest) -> None:
        self.manifest = manifest
        self._path = directory / MANIFEST
        self._journal = Journal(directory / JOURNAL) if len(manifest.experiments) > SMALL else None
        # A snapshot costs as much as the study is long, so it is due after a share of the study: a handful in all.
        self._interval = max(SMALL, len(manifest.experiments) // 4)
        self._since_snapshot = 0
        self.snapshot()

    def experiment(
        self,
        position: int,
        state: ExperimentState,
        *,
        started_at: str | None = None,
        ended_at: str | None = None,
        failure: Mapping[str, Any] | None = None,
    ) -> None:
        """An experiment enters a state."""
        self._change(
            {"position": position, "state": state, "started_at": started_at, "ended_at": ended_at, "failure": failure}
        )

    def study(self, state: StudyState) -> None:
        """The study enters a state; a snapshot follows."""
        ended_at = None if state == "running" else now_utc()
        self._change({"study": {"state": state, "ended_at": ended_at}})
        if self._since_snapshot:
            self.snapshot()

    def snapshot(self) -> None:
        """Rewrite `manifest.json`."""
        write_atomically(self._path, self.manifest.text())
        self._since_snapshot = 0

    def close(self) -> None:
        """Close the journal."""
        if self._journal is not None:
            self._journal.close()

    def _change(self, values: dict[str, Any]) -> None:
        change = {"seq": self.manifest.seq + 1, **values}
        if self._journal is not None:
            self._journal.append(change)
        self.manifest.apply(change)
        self._since_snapshot += 1
        if self._journal is None or self._since_snapshot >= self._interval:
            self.snapshot()


def read_manifest(study_dir: Path) -> StudyManifest:
    """The state of a study at this instant, also while it runs or after it was killed.

    Raises:
        ResultError: there is no manifest, it cannot be read, or its schema version is unknown.
    """
    path = study_dir / MANIFEST
    data = read_object(path, "manifest")
    version = data.get("schema_version")
    if version != MANIFEST_SCHEMA:
        raise ResultError(
            f"this manifest is of schema version {version}; this llem reads version {MANIFEST_SCHEMA}.",
            where=str(path),
            remedy="Read it with the version of llem that wrote it.",
        )
    try:
        manifest = _manifest(data)
    except (KeyError, TypeError, ValueError) as error:
        raise ResultError(f"it is not a whole manifest: {error}.", where=str(path)) from error
    replay(manifest, read_changes(study_dir / JOURNAL))
    return manifest


def replay(manifest: StudyManifest, changes: Iterable[Mapping[str, Any]]) -> None:
    """Apply the changes that the snapshot does not hold yet, up to the first that does not fit."""
    for change in changes:
        seq = change.get("seq")
        if isinstance(seq, int) and seq <= manifest.seq:
            continue
        try:
            manifest.apply(change)
        except (ValueError, KeyError, TypeError):
            return


def _manifest(data: Mapping[str, Any]) -> StudyManifest:
    names = {f.name for f in fields(StudyManifest)} - {"counts", "experiments"}
    manifest = StudyManifest(
        experiments=[Entry(**row) for row in data["experiments"]],
        **{name: data[name] for name in names if name in data or name != "until"},
    )
    if manifest.state not in _STUDY_STATES or not set(manifest.counts) <= set(_STATES):
        raise ValueError("a state that no study or experiment can have")
    if any(entry.position != i for i, entry in enumerate(manifest.experiments, start=1)):
        raise ValueError("positions are not in order")
    return manifest
