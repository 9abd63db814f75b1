"""What a resumed study does not go on with is moved out of its way, never deleted."""

from __future__ import annotations

from pathlib import Path

SET_ASIDE = "set-aside"
"""The folder in a study's folder that holds it. Nothing in it counts as a result."""


def set_aside(study_dir: Path, path: Path) -> Path | None:
    """Move a job directory or a file there, under its own name or that with a number; returns where, None where it is gone.

    Raises:
        OSError: it cannot be moved.
    """
    if not path.exists():
        return None
    folder = study_dir / SET_ASIDE
    folder.mkdir(exist_ok=True)
    target = folder / path.name
    number = 1
    while target.exists():
        number += 1
        target = folder / f"{path.name}.{number}"
    return path.rename(target)
