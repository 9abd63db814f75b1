"""The check that a finished experiment's files are what it left: all there, whole, of the right experiment."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from llem.errors import ResultError
from llem.files import open_file, require_regular
from llem.results.job_directory import REQUESTS, RESULT, TIMESERIES
from llem.results.models import ExperimentResult
from llem.results.store import read_result
from llem.study.manifest.journal import sync_folder

SEALED = (RESULT, TIMESERIES, REQUESTS)
"""The files of a job directory that figures are made of."""

_MOST_BYTES = 8 * 2**30
"""No file of an experiment is larger."""

_PARQUET = b"PAR1"
"""A Parquet file begins and ends with it."""


def seal(job_dir: Path) -> dict[str, str]:
    """Size (bytes) and BLAKE2b digest of each file of an experiment that has ended, by name.

    When this returns, all of them are on the disk, and what is recorded of them afterwards can be relied on. Raises OSError.
    """
    files = {}
    for name in SEALED:
        if (job_dir / name).is_file():
            files[name] = _mark(job_dir / name, sync=True)
    for folder in (job_dir, job_dir.parent):
        if folder.is_dir():
            sync_folder(folder)
    return files


def verify(job_dir: Path, config_hash: str, cycle: int, files: Mapping[str, str] | None) -> ExperimentResult:
    """The result of an experiment that has ended, checked.

    Args:
        job_dir: its job directory.
        config_hash, cycle: what it is a result of.
        files: its seal; None where it ended and nobody recorded it any more, so that only its own structure can tell.

    Raises:
        ResultError: there is no result here, or something is wrong with it.
    """
    result = read_result(job_dir / RESULT)
    if (result.identity.config_hash, result.identity.cycle) != (config_hash, cycle):
        raise ResultError(
            f"it is of another experiment (identity {result.identity.config_hash[:12]}, cycle {result.identity.cycle}).",
            where=str(job_dir / RESULT),
        )
    if result.status == "failed" and result.failure is None:
        raise ResultError("it says failed and not why.", where=str(job_dir / RESULT))
    for name in needed(result) if files is None else files:
        if name not in SEALED:
            raise ResultError(f"its seal names a file that no experiment leaves: `{name[:200]}`.", where=str(job_dir))
        path = job_dir / name
        try:
            if files is None:
                _check_parquet(path)
            elif not _is_as_sealed(path, files[name]):
                raise ResultError("it is not the file that the experiment left: it was changed since.", where=str(path))
        except OSError as error:
            raise ResultError(f"it cannot be read: {error.strerror}.", where=str(path)) from error
    return result


def _is_as_sealed(path: Path, mark: object) -> bool:
    """True where a file has this mark. Its size is looked at first: a file of a terabyte is not read to find that it is another."""
    size = require_regular(path).st_size
    return isinstance(mark, str) and size <= _MOST_BYTES and mark.startswith(f"{size} ") and _mark(path) == mark


def needed(result: ExperimentResult) -> tuple[str, ...]:
    """The Parquet files that a result cannot be without: one that failed may have ended before there was any."""
    return (TIMESERIES, REQUESTS) if result.status == "done" else ()


def _check_parquet(path: Path) -> None:
    """Raises ResultError where a file is cut off; OSError where it is not there."""
    with open_file(path) as stream:
        head = stream.read(len(_PARQUET))
        size = stream.seek(0, 2)
        stream.seek(max(0, size - 8))
        tail = stream.read()
    footer = int.from_bytes(tail[:4], "little")
    if head != _PARQUET or tail[4:] != _PARQUET or footer + 12 > size:
        raise ResultError("it is no whole Parquet file.", where=str(path))


def _mark(path: Path, *, sync: bool = False) -> str:
    with open_file(path) as stream:
        if sync:
            os.fsync(stream.fileno())
        digest = hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16))
        return f"{stream.tell()} {digest.hexdigest()}"
