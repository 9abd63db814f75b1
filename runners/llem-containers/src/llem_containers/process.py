"""Processes of this machine, told apart from every other one of it, before and after: boot, number, start."""

from __future__ import annotations

import os
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def this_process() -> str:
    """The name of this process."""
    return f"{_boot()}:{os.getpid()}:{_started(os.getpid())}"


def has_ended(process: str) -> bool:
    """Tell whether a process of this name is no more: it ended, or was before this boot."""
    boot, _, rest = process.partition(":")
    pid, _, started = rest.partition(":")
    if boot != _boot() or not pid.isdecimal():
        return True
    return _started(int(pid)) != started


def was_here(process: str) -> bool:
    """Tell whether it ran on this machine since its boot, and has ended."""
    return process.startswith(f"{_boot()}:") and has_ended(process)


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
