"""Files that one container of a study leaves to the next: idle baselines, which each would measure again."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

BASELINES = Path("home/.cache/llem/baselines")
"""Below the scratch folder; `llem.measure.baseline` keeps them there."""

_NAME = re.compile(r"[0-9a-f]{32}\.json")
_MOST_BYTES = 2**16
_MOST_FILES = 64


class BaselineCache:
    """Small files of known name, held here in between. They go only to containers of the same image."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def take(self, scratch: Path) -> None:
        """Keep what an ended container left in its scratch folder."""
        try:
            # A link in place of one of the folders would lead elsewhere.
            if (scratch / BASELINES).resolve() != scratch.resolve() / BASELINES:
                return
            names = sorted(entry.name for entry in os.scandir(scratch / BASELINES))
        except OSError:
            return
        for name in names[:_MOST_FILES]:
            if _NAME.fullmatch(name) and (data := _read(scratch / BASELINES / name)) is not None:
                self._kept[name] = data

    def give(self, scratch: Path) -> None:
        """Put what is kept into a new scratch folder."""
        if self._kept:
            (scratch / BASELINES).mkdir(parents=True)
        for name, data in self._kept.items():
            (scratch / BASELINES / name).write_bytes(data)


def _read(path: Path) -> bytes | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(fd, "rb") as stream:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_size > _MOST_BYTES:
            return None
        return stream.read()
