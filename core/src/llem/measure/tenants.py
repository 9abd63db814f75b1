"""Whose processes hold a device: the experiment's own, or somebody else's. Reads `/proc` alone."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path

PROC = Path("/proc")
INITIAL_PID_NAMESPACE = "pid:[4026531836]"
"""The namespace in which a driver counts processes; its number is a constant of the kernel."""

MARK = "LLEM_JOB_ID"
"""The variable by which a runner marks all that an experiment starts."""


def foreign_processes(pids: Iterable[int], *roots: int) -> dict[int, str]:
    """Those that are not of the experiment: pid to the program's name, empty where that cannot be read.

    Of the experiment are these roots, their descendants, and whatever carries its mark. In a container the driver may
    tell pids of another namespace: there it is believed only where one of the experiment's own is among them, since
    otherwise nobody can say who is who.

    Args:
        pids: as the driver tells them.
        roots: the experiment's first process, and servers that do its work and were there before.
    """
    told = set(pids)
    own = {pid for pid in told if _is_own(pid, roots)}
    if not own and not _in_initial_namespace():
        return {}
    return {pid: _name(pid) for pid in sorted(told - own)}


def _is_own(pid: int, roots: Collection[int]) -> bool:
    ancestor: int | None = pid
    while ancestor is not None and ancestor > 1:
        if ancestor in roots:
            return True
        ancestor = _parent(ancestor)
    mark = os.environ.get(MARK)
    return mark is not None and f"{MARK}={mark}".encode() in _read(pid, "environ").split(b"\0")


def _parent(pid: int) -> int | None:
    """The parent's pid: the second word after the name, which stands in brackets and may hold anything."""
    words = _read(pid, "stat").rpartition(b")")[2].split()
    return int(words[1]) if len(words) > 1 else None


def _name(pid: int) -> str:
    return _read(pid, "comm").decode(errors="replace").strip()


def _read(pid: int, file: str) -> bytes:
    try:
        return (PROC / str(pid) / file).read_bytes()
    except OSError:
        return b""  # it has ended, or belongs to another user


def _in_initial_namespace() -> bool:
    try:
        return str((PROC / "self/ns/pid").readlink()) == INITIAL_PID_NAMESPACE
    except OSError:
        return False
