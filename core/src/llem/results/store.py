"""Reads finished experiments from disk. Job directories are the truth; everything else is made from them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from llem.errors import ResultError
from llem.files import parse_json, read_file
from llem.results.job_directory import RESULT
from llem.results.models import SCHEMA_VERSION, ExperimentResult
from llem.results.validation import problem_of

EXPERIMENTS = "experiments"
"""The folder in a study's folder that holds the job directories."""

MANIFEST = "manifest.json"
"""The study's own account of what it planned and what became of it."""

SEARCH = "search.json"
"""The answer of a study that searches for a value, so far."""

OLDEST_SCHEMA = 1
"""The oldest schema that is still read. Fields added since then have neutral defaults."""


def read_result(path: Path | str) -> ExperimentResult:
    """Read one `result.json`, given itself or its job directory.

    Raises:
        ResultError: it is missing, torn, of a schema that this llem does not know, or not a result.
    """
    file = Path(path)
    file = file / RESULT if file.is_dir() else file
    data = read_object(file, "result")
    version = data.get("schema_version")
    if not isinstance(version, int) or isinstance(version, bool):
        raise ResultError("it has no schema_version, so it is no result of llem.", where=str(file))
    if version > SCHEMA_VERSION:
        raise ResultError(
            f"this result is of schema version {version}; this llem reads up to version {SCHEMA_VERSION}.",
            where=str(file),
            remedy="A newer llem wrote it: pip install --upgrade llem.",
        )
    if version < OLDEST_SCHEMA:
        raise ResultError(
            f"this result is of schema version {version}, which no release of llem has written; "
            f"known are {OLDEST_SCHEMA} to {SCHEMA_VERSION}.",
            where=str(file),
        )
    try:
        return ExperimentResult.model_validate(data)
    except ValidationError as error:
        raise ResultError(f"it is not a whole result: {problem_of(error)}.", where=str(file)) from error


def read_object(file: Path, what: str) -> dict[str, Any]:
    """Read a file that holds one JSON object. Raises ResultError, which calls the file `what`."""
    try:
        data = parse_json(read_file(file))
    except FileNotFoundError as error:
        raise ResultError(f"there is no {what} here.", where=str(file)) from error
    except OSError as error:
        raise ResultError(f"this {what} cannot be read: {error.strerror}.", where=str(file)) from error
    except ValueError as error:
        raise ResultError(f"this {what} is not JSON: {error}.", where=str(file)) from error
    if not isinstance(data, dict):
        raise ResultError(f"this {what} is no JSON object.", where=str(file))
    return data


def job_directories(study_dir: Path | str, below: str = "") -> Iterator[Path]:
    """The job directories of a study that hold a `result.json`, by name. What an engine left inside one is not searched.

    Args:
        below: only those in this folder of `experiments/`.
    """
    root = Path(study_dir) / EXPERIMENTS / below
    for folder, folders, files in os.walk(root):
        if RESULT in files:
            folders.clear()
            yield Path(folder)
        folders.sort()


def is_study(directory: Path) -> bool:
    """Tell whether this folder is a study's: it has a manifest or job directories."""
    return (directory / MANIFEST).is_file() or (directory / EXPERIMENTS).is_dir()
