"""Processes that outlive a container whose keepers were all killed: the mounts of its image, which Apptainer runs as programs."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from pathlib import Path

from llem.plugin_api import EXPERIMENTS

EXCHANGE = "apptainer"
"""The folder in a job directory that a container sees; gone when it has ended."""

SESSION = "apptainer.session"
"""A file of the job directory while its container runs: the number of the session that all of its processes on this side are in."""

_MOUNTING = (
    "squashfuse",
    "fuse-overlayfs",
    "fuse2fs",
    "gocryptfs",
    "starter",
    "apptainer",
    "Apptainer runtime parent",
    "appinit",
)


def reclaim(study_dir: Path) -> Iterable[str]:
    """End what is left of this study's containers. Their workers are llem's local ones, and are seen to as those are."""
    ended = 0
    for note in (study_dir / EXPERIMENTS).glob(f"*/{SESSION}"):
        ended += end_session(note)
    return [f"ended {ended} process(es) of containers that an earlier run of this study left behind."] if ended else []


def end_session(note: Path) -> int:
    """End what of Apptainer still runs in the session that a note tells, and remove the note; returns the number of processes."""
    try:
        text = note.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return 0
    ended = 0
    if text.isdecimal():
        for pid in _of_apptainer(int(text)):
            try:
                os.kill(pid, signal.SIGKILL)
                ended += 1
            except (ProcessLookupError, PermissionError):
                continue
    note.unlink(missing_ok=True)
    return ended


def _of_apptainer(session: int) -> Iterable[int]:
    for entry in os.scandir("/proc"):
        if not entry.name.isdecimal():
            continue
        try:
            words = Path(entry.path, "cmdline").read_bytes().split(b"\0")
            if os.getsid(int(entry.name)) != session:
                continue
        except OSError:
            continue  # it has ended
        if Path(words[0].decode(errors="replace")).name.startswith(_MOUNTING):
            yield int(entry.name)
