"""The folder of a study: `NAME-TIMESTAMP`, never one that is there already."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from llem.errors import LlemError, PreflightError
from llem.results.store import EXPERIMENTS
from llem.study.manifest.journal import sync_folder

STUDY_FILE = "study.yaml"
"""The study as the user wrote it."""

_MOST_SUFFIXES = 1000


def create(output_root: Path, name: str) -> Path:
    """Make the folder of a new study and return its absolute path.

    Args:
        output_root: where results go; made where it is missing.
        name: of the study. Folders of one name and second get a suffix.

    Raises:
        PreflightError: the folder cannot be made or written.
    """
    root = output_root.expanduser().absolute()
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    try:
        root.mkdir(parents=True, exist_ok=True)
        for suffix in ("", *(f"-{i}" for i in range(2, _MOST_SUFFIXES))):
            directory = root / f"{name}-{stamp}{suffix}"
            try:
                directory.mkdir()
            except FileExistsError:
                continue
            (directory / EXPERIMENTS).mkdir()
            sync_folder(root)
            return directory
    except OSError as error:
        raise PreflightError(
            f"the results folder cannot be written: {error.strerror or error}.",
            where=str(error.filename or root),
            remedy="Choose another with --output, or mend its permissions.",
        ) from error
    raise PreflightError(
        f"{_MOST_SUFFIXES} studies named `{name}` started within this second.",
        where=str(root),
        remedy="Choose another folder with --output.",
    )


@contextmanager
def writing(directory: Path) -> Iterator[None]:
    """Turns the OSError of a write into the error that ends the study: its disk is full, or its folder is gone or read-only.

    Raises:
        LlemError: with what is kept, and what to do.
    """
    try:
        yield
    except OSError as error:
        raise LlemError(
            f"the study's folder can no longer be written: {error.strerror or error}.",
            where=str(error.filename or directory),
            remedy="The study has stopped; experiments that finished are kept. Make room or mend the permissions, "
            f"then: llem resume {shlex.quote(str(_study_of(directory)))}.",
        ) from error


def _study_of(directory: Path) -> Path:
    """The study's folder that a folder is in, or is."""
    parts = directory.parts
    return Path(*parts[: len(parts) - parts[::-1].index(EXPERIMENTS) - 1]) if EXPERIMENTS in parts else directory
