"""The folder for what a resumed study does not go on with: moved out of its way, never deleted."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from llem.files import inside
from llem.results.job_directory import write_atomically

SET_ASIDE = "set-aside"
"""The folder in a study's folder that holds it. Nothing in it counts as a result."""


def set_aside(study_dir: Path, path: Path) -> Path | None:
    """Move a job directory or a file there, under its own name or that with a number; returns where, None where it is gone.

    Raises:
        OSError: it cannot be moved, or is not in the study's folder.
        OutsideError: `set-aside/` is a link that leads out of it.
    """
    if not os.path.lexists(path):
        return None
    # The link itself is moved, where it is one; what leads to it has to be the study's own.
    own = Path(os.path.realpath(study_dir))
    if not Path(os.path.realpath(path.parent)).is_relative_to(own) or not path.name or path.name == "..":
        raise OSError(errno.EXDEV, "it is not in the study's folder, and is not moved", str(path))
    return path.rename(_free(study_dir, path.name))


def keep_aside(study_dir: Path, name: str, text: str) -> None:
    """Write a text there that is about to be replaced. Raises OSError."""
    write_atomically(_free(study_dir, name), text)


def _free(study_dir: Path, name: str) -> Path:
    folder = inside(study_dir, SET_ASIDE)
    folder.mkdir(exist_ok=True)
    target = folder / name
    number = 1
    while os.path.lexists(target):
        number += 1
        target = folder / f"{name}.{number}"
    return target
