"""Stamps of the results on disk: they tell whether a table of them still holds."""

from __future__ import annotations

import os
from pathlib import Path

from llem.results.job_directory import RESULT
from llem.results.store import EXPERIMENTS, job_directories

Stamp = tuple[int, int]
"""Time of the last change of a `result.json` (ns since 1970), and its size in bytes. It is never changed in place."""

GONE: Stamp = (0, 0)
"""Of a file that cannot be looked at; no file that was read has it."""

MODIFIED, SIZE = "result_file.modified_ns", "result_file.size_bytes"
"""The columns that hold the stamp of the file that a row was read from."""


def stamp_of(job_dir: Path) -> Stamp:
    """The stamp of one job directory's result."""
    try:
        found = (job_dir / RESULT).stat()
    except OSError:
        return GONE
    return found.st_mtime_ns, found.st_size


def stamps(study_dir: Path) -> dict[str, Stamp]:
    """Every result of a study: the job directory, relative to the study's folder, to the stamp. In no order.

    It looks at each result, so its cost grows with the study, by some microseconds each; nothing cheaper would see a result
    that was deleted or written anew.
    """
    found: dict[str, Stamp] = {}
    deeper: list[str] = []
    root = study_dir / EXPERIMENTS
    try:
        handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return found
    look, prefix, file = os.stat, f"{EXPERIMENTS}/", f"/{RESULT}"
    try:
        with os.scandir(handle) as entries:
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False):
                    continue
                try:
                    seen = look(entry.name + file, dir_fd=handle)
                except OSError:
                    deeper.append(entry.name)
                else:
                    found[prefix + entry.name] = (seen.st_mtime_ns, seen.st_size)
    finally:
        os.close(handle)
    for name in deeper:
        # No result: it is under way, or the user sorted job directories into folders of their own.
        for directory in job_directories(study_dir, below=name):
            found[directory.relative_to(study_dir).as_posix()] = stamp_of(directory)
    return found
