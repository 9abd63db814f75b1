"""Labels of containers: which study and which llem they belong to, so that what a killed llem left is found again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

STUDY = "llem.study"
JOB = "llem.job"
CONFIG_HASH = "llem.config_hash"
BACKEND = "llem.backend"
OWNER = "llem.owner"

PREFLIGHT = "preflight"
"""In the place of a study: the container only looks into an image."""

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def labels(study: str, job: Path, config_hash: str, backend: str) -> dict[str, str]:
    """The labels of an experiment's container."""
    return {
        STUDY: study or "none",
        JOB: str(job),
        CONFIG_HASH: config_hash,
        BACKEND: backend,
        OWNER: this_process(),
    }


def this_process() -> str:
    """This process, told apart from every other one of this machine, before and after: boot, number, start."""
    return f"{_boot()}:{os.getpid()}:{_started(os.getpid())}"


def is_gone(found: Mapping[str, str]) -> bool:
    """Tell whether the llem that a container's labels name has ended."""
    boot, _, rest = found.get(OWNER, "").partition(":")
    pid, _, started = rest.partition(":")
    if boot != _boot() or not pid.isdecimal():
        return True
    return _started(int(pid)) != started


def was_here(process: str) -> bool:
    """Tell whether `this_process` is of an llem that ran on this machine since its boot, and has ended."""
    return process.startswith(f"{_boot()}:") and is_gone({OWNER: process})


def _boot() -> str:
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"


def _started(pid: int) -> str:
    """The start of a process, in the kernel's ticks since boot; empty where there is none of that number."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]
