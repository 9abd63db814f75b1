"""The files of a study that a gate reads, which are those that a baseline keeps: no readings, no requests, no logs."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from llem.plugin_api import (
    EXPERIMENT,
    EXPERIMENTS,
    MANIFEST,
    RESULT,
    SEARCH,
    ConfigError,
    ResultError,
    inside,
    is_held,
    is_study,
    nothing_here,
    one_line,
    open_file,
    recover,
    several_here,
)
from llem_analysis.baseline_record import StoredFile, require_file_name
from llem_analysis.loading import load_rows
from llem_analysis.quality_file import NAME as QUALITY

_OF_STUDY = ("study.yaml", "study.json", MANIFEST, "journal.jsonl", SEARCH, QUALITY)
_OF_JOB = (EXPERIMENT, RESULT)
_PIECE = 2**20


def require_finished(study: Path) -> None:
    """Raise where a folder is no study that has ended well enough to be a baseline."""
    if (several := several_here(study)) is not None:
        raise several
    if not study.is_dir() or not is_study(study):
        raise nothing_here(study)
    if is_held(study):
        raise ResultError("an llem works on this study now.", where=str(study), remedy="Accept it when it has ended.")
    if (study / MANIFEST).is_file():
        found = recover(study)
        if found.damage:
            raise ResultError(f"a damaged study is no baseline: {found.damage[0]}", where=str(study))
        if found.manifest.state != "complete":
            raise ResultError(
                f"this study is {found.manifest.state}, and half of a study is no baseline.",
                where=str(study),
                remedy=f"Finish it: llem resume {study}.",
            )
    if not any(row.get("status") == "done" for row in load_rows(study)):
        raise ResultError("no experiment in it is done, so there is nothing to compare with.", where=str(study))


def kept_files(study: Path) -> list[str]:
    """The names of the files, relative to the study's folder.

    Raises:
        ResultError: one is a link, or has a name that no baseline can hold.
    """
    names = [*_OF_STUDY, *(f"{job}/{name}" for job in _jobs(study, EXPERIMENTS) for name in _OF_JOB)]
    found = [name for name in names if os.path.lexists(study / name)]
    for name in found:
        require_file_name(name, str(study))
        _no_link(study, name)
    return found


def study_name_of(study: Path) -> str:
    """The name of a study's folder, as a record holds it."""
    name = study.resolve().name
    if re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._+=-]{0,200}", name) is None:
        raise ConfigError(
            f"`{one_line(name, 200)}` is no name that a study's folder can have in a store.",
            where=str(study),
            remedy="Give the folder a plain name: letters, digits, dots, strokes and underlines.",
        )
    return name


def copied(study: Path, name: str, target: Path, *, durable: bool = False) -> StoredFile:
    """Copy a file of a study below another folder, and tell what was copied.

    Args:
        durable: return only when it is on the disk.

    Raises:
        ResultError: it cannot be read. OSError: the copy cannot be written.
    """
    path, digest, size = target / name, hashlib.sha256(), 0
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        source = open_file(study / name)
    except OSError as error:
        raise ResultError(f"it cannot be read: {error.strerror or error}.", where=str(study / name)) from error
    with source, path.open("xb") as out:
        while piece := source.read(_PIECE):
            digest.update(piece)
            size += len(piece)
            out.write(piece)
        if durable:
            out.flush()
            os.fsync(out.fileno())
    return StoredFile(name, size, digest.hexdigest())


def _jobs(study: Path, below: str) -> Iterator[str]:
    folder = _no_link(study, below)
    if not folder.is_dir():
        return
    if (folder / EXPERIMENT).exists() or (folder / RESULT).exists():
        yield below
        return
    with os.scandir(folder) as entries:
        names = sorted(one.name for one in entries if one.is_dir() or one.is_symlink())
    for name in names:
        yield from _jobs(study, f"{below}/{name}")


def _no_link(study: Path, name: str) -> Path:
    path = inside(study, name)
    if path.is_symlink():
        raise ResultError(
            "it is a link, and a baseline keeps only what stands in the study's own folder.",
            where=str(path),
            remedy="Put the file itself there.",
        )
    return path
