"""Findings of preflight on room: where images are kept, and where what containers write goes."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from llem.plugin_api import Finding
from llem_containers.sizes import in_words

LEAST_FREE = 256 * 2**20
"""Below this nothing works."""

ROOM_FOR_AN_IMAGE = 20 * 2**30
"""An engine with CUDA's libraries takes about so much, unpacked."""


@dataclass(frozen=True, kw_only=True)
class Room:
    """A folder that has to have room.

    Attributes:
        place: the folder, which is there; purpose: of it, a clause after `where`.
        need: bytes; with less it is a warning, and an error below LEAST_FREE.
        remedy: what makes room.
    """

    place: Path
    purpose: str
    need: int
    remedy: str


def findings_on(rooms: Iterable[Room], missing: Sequence[str], doing: str) -> Iterator[Finding]:
    """The findings on rooms; none on a folder that this user may not look at.

    Args:
        missing: the images that are not here; doing: what brings them, such as `pulling`.
    """
    for room in rooms:
        try:
            free = shutil.disk_usage(room.place).free
        except OSError:
            continue
        place, purpose, said = room.place, room.purpose, in_words(free)
        if free < min(room.need, LEAST_FREE):
            yield Finding(
                level="error", message=f"only {said} are free in {place}, where {purpose}", remedy=room.remedy
            )
        elif free < room.need:
            yield Finding(
                level="warning",
                message=f"{said} are free in {place}, where {purpose}; {doing} {', '.join(missing)} may take {in_words(room.need)}",
                remedy=room.remedy,
            )
        else:
            yield Finding(level="ok", message=f"{said} free in {place}, where {purpose}")
