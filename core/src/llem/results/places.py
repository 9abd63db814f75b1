"""Where a study may be, for whoever names one that is not there."""

from __future__ import annotations

from pathlib import Path

from llem.errors import ResultError
from llem.results.store import is_study
from llem.spelling import closest

RESULTS = Path("results")
"""Where studies lie unless their user says otherwise."""


def studies_in(folder: Path) -> list[Path]:
    """The studies that lie in a folder, the newest first."""
    try:
        found = [path for path in folder.iterdir() if path.is_dir() and is_study(path)]
        return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)
    except OSError:
        return []


def nothing_here(path: Path, wanted: str = "a study's folder") -> ResultError:
    """The error for a path at which there is nothing, with the study that was probably meant."""
    known = {study.name: study for folder in (RESULTS, path.parent) for study in reversed(studies_in(folder))}
    begun = [name for name in known if path.name and name.startswith(path.name)]
    near = begun[-1] if begun else closest(path.name, known)
    hint = f" Did you mean {known[near]}?" if near else ""
    return ResultError("there is nothing here.", where=str(path), remedy=f"Give {wanted}.{hint}")


def several_here(path: Path, command: str = "") -> ResultError | None:
    """The error for a folder of studies where one is wanted, with the newest, as `command` takes it; None for any other."""
    studies = [] if is_study(path) else studies_in(path)
    if not studies:
        return None
    return ResultError(
        f"this folder holds {len(studies)} stud{'ies' if len(studies) > 1 else 'y'}; name one.",
        where=str(path),
        remedy=f"The newest: {command}{studies[0]}.",
    )
