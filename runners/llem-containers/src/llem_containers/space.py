"""The room that a container takes on the disks that it writes to, and the room that is left."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from llem_containers.failures import DISK_FULL, OUTPUT_TOO_LARGE
from llem_containers.intake import written
from llem_containers.sizes import in_words

_PERIOD_S = 2.0
LEAST_FREE = 32 * 2**20
"""With less than this a disk counts as full."""


class Space:
    """Watches the folders that one container writes to.

    Args:
        places: the folders.
        most: most bytes that it may write.
        option: the key of that limit, for messages.
    """

    def __init__(self, places: Sequence[Path], most: int, option: str) -> None:
        self._places = places
        self._most = most
        self._option = option
        self._before = self._used()
        self._due = 0.0

    def trouble(self) -> tuple[str, str] | None:
        """Kind and cause where the container writes more than it may. Looks every other second, and at files only where it has to."""
        if time.monotonic() < self._due:
            return None
        self._due = time.monotonic() + _PERIOD_S
        # Counting files costs time, so it is done only where the disk says so.
        if max(used - before for used, before in zip(self._used(), self._before, strict=True)) <= self._most:
            return None
        total = sum(written(place) for place in self._places)
        if total <= self._most:
            return None
        return (
            OUTPUT_TOO_LARGE,
            f"the container wrote {in_words(total)}, more than {in_words(self._most)} ({self._option}), and llem ended it",
        )

    def full(self) -> tuple[str, str] | None:
        """Kind and cause where a disk that it writes to is full."""
        for place in self._places:
            try:
                free = shutil.disk_usage(place).free
            except OSError:
                continue
            if free < LEAST_FREE:
                return DISK_FULL, f"the disk was full: {in_words(free)} were left where {place.parent} is"
        return None

    def _used(self) -> list[int]:
        return [shutil.disk_usage(place).used for place in self._places]
