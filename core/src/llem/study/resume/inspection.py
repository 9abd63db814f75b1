"""The remains of a study that was started before: experiments that can be kept, and those that have to run (again)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from llem.errors import LlemError, ResultError
from llem.files import NotAFileError, OutsideError, inside
from llem.results.job_directory import EXPERIMENT, INTERRUPTED, RESULT
from llem.results.models import ExperimentResult
from llem.results.store import read_result
from llem.runners.failure import failure_summary
from llem.study.manifest.manifest import UNRUN, Entry, ExperimentState
from llem.study.verify import seal, verify

_UNDER_WAY = ("running", "interrupted")


@dataclass
class Inspection:
    """The fate of each experiment, as its job directory tells.

    Attributes:
        kept: position to the state that its files prove, `done` or `failed`.
        results: of those kept, by position; only where they were asked for.
        found: positions of kept ones whose end the manifest did not know, or not this end.
        again: failed ones that shall run again.
        half_done: positions of experiments that were under way.
        gone: positions of experiments that had ended and whose results are not there any more.
        damaged: position to what is wrong with its result.
    """

    kept: dict[int, ExperimentState] = field(default_factory=dict)
    results: dict[int, ExperimentResult] = field(default_factory=dict)
    found: set[int] = field(default_factory=set)
    again: list[int] = field(default_factory=list)
    half_done: list[int] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    damaged: dict[int, str] = field(default_factory=dict)


def inspect_results(study_dir: Path, entries: Iterable[Entry], *, retry_failed: bool, with_results: bool) -> Inspection:
    """Look at every experiment's job directory. Nothing is changed.

    Args:
        entries: as the manifest has them; what is not to run is passed over.
        retry_failed: failed ones shall run again.
        with_results: keep the results, which takes memory.

    Raises:
        LlemError: a result is there and cannot be read.
    """
    found = Inspection()
    for entry in entries:
        if entry.state in UNRUN:
            continue
        had_ended = entry.state in ("done", "failed")
        try:
            job_dir = inside(study_dir, entry.directory)
        except OutsideError as error:
            found.damaged[entry.position] = str(error)
            continue
        if not (job_dir / RESULT).exists():
            if had_ended:
                found.gone.append(entry.position)
            elif (job_dir / EXPERIMENT).exists():
                found.half_done.append(entry.position)
            continue
        try:
            result = verify(job_dir, entry.config_hash, entry.cycle, entry.files if had_ended else None)
        except ResultError as error:
            if isinstance(error.__cause__, OSError) and not isinstance(
                error.__cause__, FileNotFoundError | NotAFileError
            ):
                # Another measurement would not mend a disk or a permission.
                raise LlemError(
                    error.what,
                    where=error.where,
                    remedy=f"Mend it; or move {job_dir} away, then the experiment runs again.",
                ) from error
            found.damaged[entry.position] = str(error)
            continue
        if result.failure is not None and (entry.state in _UNDER_WAY or result.failure.type == INTERRUPTED):
            # Nobody took note of this failure: the worker may well have failed because its study was killed.
            found.half_done.append(entry.position)
        elif result.status == "failed" and retry_failed:
            found.again.append(entry.position)
        else:
            found.kept[entry.position] = result.status
            if entry.state != result.status:
                found.found.add(entry.position)
            if with_results:
                found.results[entry.position] = result
    return found


def update_entry(study_dir: Path, entry: Entry, found: Inspection, directory: str) -> None:
    """Bring an entry to what was found: its proven state, or pending in this directory. Raises OSError."""
    state = found.kept.get(entry.position)
    if state is None:
        entry.state, entry.started_at, entry.ended_at = "pending", None, None
        entry.failure, entry.files = None, None
        entry.directory = directory
    elif entry.position in found.found:
        result = read_result(study_dir / entry.directory)
        entry.state, entry.started_at, entry.ended_at = state, result.started_at, result.ended_at
        entry.failure = failure_summary(result)
        entry.files = seal(study_dir / entry.directory)
    elif entry.files is None:
        entry.files = seal(study_dir / entry.directory)
