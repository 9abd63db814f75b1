"""Processes that an earlier llem left running here: nobody watches over them any more, and they must not write on."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

from llem.errors import PreflightError
from llem.results.store import EXPERIMENTS
from llem.runners.scratch import clear_scratch

_PATIENCE_S = 15.0
"""A supervisor ends its worker within moments of llem's death."""

_KILLED_S = 15.0
"""A process that SIGKILL does not end for so long hangs in a driver."""

_STEP_S = 0.1

_LOGS = ".log"
"""Names of logs end so: the worker's, and those of what an engine starts, such as a server."""


def reclaim(study_dir: Path) -> Iterable[str]:
    """Wait until nothing of this study runs on this machine any more, and end what stays.

    Raises:
        PreflightError: something cannot be ended.
    """
    if _gone(study_dir, _PATIENCE_S):
        return _cleared()
    stubborn = _processes(study_dir)
    for pid in stubborn:
        try:
            os.kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue
    if not _gone(study_dir, _KILLED_S):
        left = ", ".join(map(str, _processes(study_dir)))
        raise PreflightError(
            f"process(es) {left} of an earlier run still work on this study and cannot be ended.",
            where=str(study_dir),
            remedy="End them (they may be another user's, or hang in a driver), then try again.",
        )
    return [f"ended {len(stubborn)} process(es) that an earlier run of this study left behind.", *_cleared()]


def _cleared() -> list[str]:
    count = clear_scratch()
    return [f"removed {count} temporary folder(s) of workers whose llem was killed."] if count else []


def _gone(study_dir: Path, within_s: float) -> bool:
    end = time.monotonic() + within_s
    while _processes(study_dir):
        if time.monotonic() > end:
            return False
        time.sleep(_STEP_S)
    return True


def _processes(study_dir: Path) -> list[int]:
    """Processes whose output goes to a log of a job of this study: workers, and all that they and llem started for them."""
    experiments = os.path.realpath(study_dir / EXPERIMENTS) + os.sep
    found = []
    for entry in os.scandir("/proc") if Path("/proc").is_dir() else ():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        for number in (1, 2):
            try:
                target = os.readlink(f"{entry.path}/fd/{number}")  # noqa: PTH115 - thousands of them
            except OSError:
                break  # it has ended, or is another user's
            if target.startswith(experiments) and target.endswith(_LOGS):
                found.append(int(entry.name))
                break
    return found
