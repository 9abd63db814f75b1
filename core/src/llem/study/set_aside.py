"""What a resumed study does not go on with is moved out of its way, never deleted."""

from __future__ import annotations

from pathlib import Path

from llem.results.job_directory import write_atomically

SET_ASIDE = "set-aside"
"""The folder in a study's folder that holds it. Nothing in it counts as a result."""


def set_aside(study_dir: Path, path: Path) -> Path | None:
    """Move a job directory or a file there, under its own name or that with a number; returns where, None where it is gone.

    Raises:
        OSError: it cannot be moved.
    """
    return path.rename(_free(study_dir, path.name)) if path.exists() else None


def keep_aside(study_dir: Path, name: str, text: str) -> None:
    """Write a text there that is about to be replaced. Raises OSError."""
    write_atomically(_free(study_dir, name), text)


def _free(study_dir: Path, name: str) -> Path:
    folder = study_dir / SET_ASIDE
    folder.mkdir(exist_ok=True)
    target = folder / name
    number = 1
    while target.exists():
        number += 1
        target = folder / f"{name}.{number}"
    return target
