"""The start of this process, and whether it may fork another that has its modules already.

Only a worker that was itself forked does so, by what its starter handed it (`llem.runners.forked_worker`), and only while it has a
single thread; elsewhere a fork may copy a lock that nobody will ever release.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

START = "LLEM_START"
"""Variable that tells how this worker was started: `forked`, or `spawned: WHY`; unset where nobody wanted a fork."""
FORKED = "forked"

Fork = Callable[[str, Callable[[], int]], Any]
"""Forks a child that does what the function does, listed as `python -m MODULE`. Returns as much of `subprocess.Popen`, with both pipes,
as a meter needs."""

_fork: Fork | None = None


def start_facts(environ: Mapping[str, str]) -> dict[str, str | bool | None]:
    """`warm`: the engine's module was imported before the experiment began; `why_not`, where it should have been."""
    said = environ.get(START, "")
    return {"warm": said == FORKED, "why_not": said.partition(": ")[2] or None}


def fork_by(fork: Fork) -> None:
    """Have this process, which was forked, fork others so."""
    global _fork
    _fork = fork


def may_fork() -> Fork | None:
    """The way in which this process may fork another; None where it must start it afresh."""
    has_one_thread = sum(1 for _ in Path("/proc/self/task").iterdir()) == 1
    return _fork if os.environ.get(START) == FORKED and has_one_thread else None
