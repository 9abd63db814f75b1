"""Workers of an earlier llem that still run here: nobody watches over them any more, and they must not write on."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from llem.errors import PreflightError
from llem.results.store import EXPERIMENTS
from llem.study.reporter import Reporter

_PATIENCE_S = 15.0
"""A supervisor ends its worker within moments of llem's death."""
_KILLED_S = 15.0
_STEP_S = 0.1


def end_leftovers(study_dir: Path, reporter: Reporter) -> None:
    """Wait until no worker of this study runs on this machine, and end those that stay.

    Raises:
        PreflightError: one cannot be ended.
    """
    if not _workers(study_dir):
        return
    reporter.message("info", "waiting for what the last run of this study left behind to end.")
    if not _gone(study_dir, _PATIENCE_S):
        for pid in _workers(study_dir):
            try:
                os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
        if not _gone(study_dir, _KILLED_S):
            left = ", ".join(map(str, _workers(study_dir)))
            raise PreflightError(
                f"process(es) {left} of an earlier run still work on this study and cannot be ended.",
                where=str(study_dir),
                remedy="End them (they may be another user's, or hang in a driver), then try again.",
            )


def _gone(study_dir: Path, within_s: float) -> bool:
    end = time.monotonic() + within_s
    while _workers(study_dir):
        if time.monotonic() > end:
            return False
        time.sleep(_STEP_S)
    return True


def _workers(study_dir: Path) -> list[int]:
    """Processes whose command line is that of a worker on one of the study's job directories, or of its supervisor."""
    folder = os.fsencode(study_dir / EXPERIMENTS) + b"/"
    found = []
    for entry in Path("/proc").iterdir() if Path("/proc").is_dir() else ():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # it has ended
        if b"llem.worker" in words and any(word.startswith(folder) for word in words):
            found.append(int(entry.name))
    return found
