"""The trace that was read last, kept: a dataset and a load mostly take theirs from one file."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from llem_serving.traces.reading import read_trace
from llem_serving.traces.trace import Trace


def kept_trace(path: Path, format: str | None = None) -> Trace:  # noqa: A002 - the word of the configuration
    """Read a whole trace, or take it from memory where the same file was read last and has not changed since.

    Raises:
        DatasetError: as `read_trace`.
    """
    try:
        found = path.resolve(strict=True).stat()
    except (OSError, ValueError, RuntimeError):
        return read_trace(path, format)
    return _read(path, format, (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns))


@lru_cache(maxsize=1)
def _read(path: Path, format: str | None, stamp: tuple[int, ...]) -> Trace:  # noqa: A002
    return read_trace(path, format)
