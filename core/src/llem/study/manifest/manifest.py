"""The manifest: what a study planned and what became of each experiment, readable at every instant.

`manifest.json` is a snapshot with a checksum, replaced atomically; `.manifest.previous.json` is the one before it. Every
change is in `journal.jsonl` first. Whatever a crash or a failing disk leaves, one of the two snapshots and the journal
give the last state that can be vouched for. `llem.study.manifest.writer` writes them, `recover` reads them.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic.dataclasses import dataclass as exact

from llem.errors import ResultError
from llem.files import parse_json, read_file
from llem.results.store import EXPERIMENTS, MANIFEST
from llem.results.validation import EXACT, problem_of
from llem.study.manifest.journal import JOURNAL, JournalContent, read_journal

MANIFEST_SCHEMA = 2
"""Version 1 had no checksum; it is still read."""

PREVIOUS = ".manifest.previous.json"
"""The snapshot before `manifest.json`, for the case that this one is damaged."""

StudyState = Literal["running", "complete", "interrupted", "stopped"]
ExperimentState = Literal["pending", "running", "done", "failed", "interrupted", "not_needed", "skipped", "dropped"]

UNRUN = ("not_needed", "skipped", "dropped")
"""States of experiments that have no job directory, and do not run when the study goes on."""

_STATES: tuple[ExperimentState, ...] = get_args(ExperimentState)
_STUDY_STATES: tuple[StudyState, ...] = get_args(StudyState)

_JOBS = f"{EXPERIMENTS}/"

_CHANGED = ("state", "started_at", "ended_at", "failure", "files", "reason")
"""Fields of an entry that a change gives anew."""

_CHECKSUM = b',\n "checksum": "'
_END = b'"\n}\n'
_AGAIN = 5
"""Number of times that a reader begins anew because the study wrote a snapshot between its two looks."""


def now_utc() -> str:
    """This moment as manifests and results write it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@exact(slots=True, config=EXACT)
class Entry:
    """One experiment of the study.

    Attributes:
        state: `not_needed` where earlier cycles of it sufficed (`execution.until`); `skipped` where its scenario took it to be in
            vain; `dropped` where it is no longer part of the study, which was changed and resumed. None has a job directory.
        position: place in the study's order, from 1.
        cycle: which repetition, from 1.
        directory: its job directory, relative to the study's folder.
        point: the swept keys with their values.
        started_at, ended_at: UTC, ISO 8601; None where it has not.
        failure: type, message, phase, exit code and signal in short, where it failed.
        files: what it left, by name: size and digest (`llem.study.verify`); None where it has not ended.
        reason: why it did not run, where it was skipped or not needed.
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
    files: Mapping[str, str] | None = None
    reason: str | None = None


@exact(config=EXACT)
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
            if study["state"] not in _STUDY_STATES or not isinstance(study["ended_at"], str | None):
                raise ValueError(f"no state of a study: {study['state']}")
            self.state, self.ended_at = study["state"], study["ended_at"]
        elif type(position) is not int or not 1 <= position <= len(self.experiments):
            raise ValueError(f"no experiment of this study: {position}")
        else:
            entry = self.experiments[position - 1]
            values: dict[str, Any] = {name: change.get(name) for name in _CHANGED}
            changed = replace(entry, **values)  # which holds each value to its type
            self.experiments[position - 1] = changed
            self.counts[entry.state] -= 1
            self.counts[changed.state] += 1
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
        # Half of a surrogate pair, which a file name can hold, has no UTF-8; written out it is the same JSON.
        body = ("{\n" + "".join(lines) + ' "experiments": [\n' + rows + "\n ]").encode(errors="backslashreplace")
        return (body + _CHECKSUM + _digest(body) + _END).decode()


_COLUMNS = tuple(f.name for f in fields(Entry))


def _row(entry: Entry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in _COLUMNS}


def _digest(body: bytes | memoryview) -> bytes:
    return hashlib.blake2b(body, digest_size=16).hexdigest().encode()


class ManifestError(ResultError):
    """There is no manifest, or none that can be read as what was written: it can be made anew from plan and results."""


@dataclass(frozen=True)
class Recovered:
    """The last state of a study that can be vouched for.

    Attributes:
        damage: what could not be read, a sentence each; empty where all is as it was written.
        torn: the journal has a part that was not read.
    """

    manifest: StudyManifest
    damage: tuple[str, ...] = ()
    torn: bool = False


def recover(study_dir: Path) -> Recovered:
    """The state of a study at this instant, also while it runs or after it was killed, and what is damaged.

    Raises:
        ManifestError: there is none, or neither snapshot can be read.
        ResultError: it is of an unknown schema version.
    """
    for _ in range(_AGAIN):
        found, behind = _look(study_dir)
        if not behind:
            break
    return found


def _look(study_dir: Path) -> tuple[Recovered, bool]:
    """The content, and whether the journal begins after the snapshot: then that was replaced between the two looks."""
    damage = []
    try:
        manifest = _snapshot(study_dir / MANIFEST)
    except ManifestError as error:
        if not (study_dir / PREVIOUS).is_file():
            raise
        try:
            manifest = _snapshot(study_dir / PREVIOUS)
        except ManifestError:
            raise error from None
        damage.append(f"{error} The one before it and the journal were read instead.")
    journal = study_dir / JOURNAL
    try:
        content = read_journal(journal)
    except OSError as error:
        content = JournalContent((), f"it cannot be read: {error.strerror}")
    ahead = replay(manifest, content.changes)
    if content.damage:
        damage.append(f"{journal}: {content.damage}. The state before that holds.")
    return Recovered(manifest, tuple(damage), torn=content.damage is not None), ahead


def replay(manifest: StudyManifest, changes: Iterable[Mapping[str, Any]]) -> bool:
    """Apply the changes that the snapshot does not hold yet, up to the first that does not fit.

    Returns:
        Whether there was such a one.
    """
    for change in changes:
        seq = change.get("seq")
        if isinstance(seq, int) and seq <= manifest.seq:
            continue
        try:
            manifest.apply(change)
        except (ValueError, KeyError, TypeError):
            return True
    return False


def _snapshot(path: Path) -> StudyManifest:
    """Read one snapshot. Raises ManifestError; ResultError where it is of another version."""
    try:
        data = read_file(path)
    except FileNotFoundError as error:
        raise ManifestError("there is no manifest here.", where=str(path)) from error
    except OSError as error:
        raise ManifestError(f"this manifest cannot be read: {error.strerror}.", where=str(path)) from error
    is_whole, mark = is_whole_snapshot(data), _CHECKSUM in data
    try:
        document = parse_json(data)
        version = document["schema_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise ManifestError(
            "this manifest is damaged: it is not the JSON that was written.", where=str(path)
        ) from error
    if version not in (1, MANIFEST_SCHEMA) and (is_whole or not mark):
        raise ResultError(
            f"this manifest is of schema version {version}; this llem reads up to version {MANIFEST_SCHEMA}.",
            where=str(path),
            remedy="Read it with the version of llem that wrote it.",
        )
    if not is_whole and (mark or version != 1):
        raise ManifestError("this manifest is damaged: its checksum does not fit.", where=str(path))
    try:
        return _manifest(document)
    except (KeyError, TypeError, ValueError) as error:
        raise ManifestError(f"it is not a whole manifest: {problem_of(error)}.", where=str(path)) from error


def is_whole_snapshot(data: bytes) -> bool:
    """Tell whether a snapshot is what was written, by its checksum."""
    end = data.rfind(_CHECKSUM)
    # A view, not a copy: the snapshot of a large study takes tens of megabytes.
    return end >= 0 and data[end + len(_CHECKSUM) :] == _digest(memoryview(data)[:end]) + _END


def _manifest(data: Mapping[str, Any]) -> StudyManifest:
    names = {f.name for f in fields(StudyManifest)} - {"counts", "experiments"}
    manifest = StudyManifest(
        experiments=[_entry(row) for row in data["experiments"]],
        **{name: data[name] for name in names if name in data or name != "until"},
    )
    if any(entry.position != i for i, entry in enumerate(manifest.experiments, start=1)):
        raise ValueError("positions are not in order")
    return manifest


def _entry(row: Mapping[str, Any]) -> Entry:
    """An entry as it was written. Raises ValueError, TypeError where it was not: whoever wrote it may be a stranger."""
    entry = Entry(**row)
    # Moved, read and written by this name: it is a job directory of this study's, and nothing else.
    if (
        not entry.directory.startswith(_JOBS)
        or {"", ".", ".."} & set(entry.directory.split("/"))
        or "\0" in entry.directory
    ):
        raise ValueError(f"an experiment's folder that is none of this study's: `{entry.directory[:200]}`")
    return entry
