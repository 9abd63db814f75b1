"""The files of a study's folder that go into its bundle: regular files of this folder, and nothing that a link leads to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from llem.plugin_api import (
    EVENTS,
    EXPERIMENT,
    EXPERIMENTS,
    MANIFEST,
    REQUESTS,
    RESULT,
    TIMESERIES,
    ResultError,
    inside,
    open_file,
)
from llem_bundle.container import Content
from llem_bundle.listing import is_name

SERIES = (TIMESERIES, REQUESTS)
_OF_STUDY = ("study.yaml", "study.json", MANIFEST, "journal.jsonl")
_OF_JOB = (EXPERIMENT, RESULT, EVENTS, *SERIES)


def study_files(study: Path, *, series: bool = True) -> list[Content]:
    """The files, by name.

    Args:
        series: readings and requests too.

    Raises:
        ResultError: one is a link, or no regular file.
    """
    names = [*_OF_STUDY, *(f"{job}/{name}" for job in job_names(study) for name in _OF_JOB)]
    if not series:
        names = [name for name in names if not name.endswith(SERIES)]
    return [_content(study, name) for name in names if os.path.lexists(study / name)]


def job_names(study: Path) -> list[str]:
    """The job directories of a study, relative to its folder. What an engine left inside one is not searched."""
    return sorted(_jobs(study, EXPERIMENTS))


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


def _content(study: Path, name: str) -> Content:
    if not is_name(name):
        raise ResultError(f"`{name[:200]}` is no name that a file of a bundle can have.", where=str(study))
    path = _no_link(study, name)
    try:
        with open_file(path):
            return Content(name, partial(open_file, path))
    except OSError as error:
        raise ResultError(f"it cannot be read: {error.strerror or error}.", where=str(path)) from error


def _no_link(study: Path, name: str) -> Path:
    """The path, which stays inside the folder and is no link: a bundle holds what the study wrote itself."""
    path = inside(study, name)
    if path.is_symlink():
        raise ResultError(
            "it is a link, and a bundle holds only what stands in the study's own folder.",
            where=str(path),
            remedy="Put the file itself there.",
        )
    return path
