"""Kinds of failures that a runner in containers can tell, as results name them, and the kernel's count behind one of them."""

from __future__ import annotations

import signal
from pathlib import Path

OUT_OF_MEMORY = "OutOfMemory"
DISK_FULL = "DiskFull"
OUTPUT_TOO_LARGE = "OutputTooLarge"


def killed_for_memory() -> int | None:
    """Processes of this machine that the kernel has ended for want of memory so far; None where it does not count."""
    try:
        text = Path("/proc/vmstat").read_text(encoding="ascii")
    except OSError:
        return None
    found = next((line for line in text.splitlines() if line.startswith("oom_kill ")), None)
    return int(found.split()[1]) if found else None


_SIGNALLED = 128
"""A program that a signal ended is reported as this plus the signal's number."""


def signal_of(code: int) -> tuple[int | None, str | None]:
    """The exit code and the signal that a code of a container means; one of them is None."""
    number = code - _SIGNALLED
    try:
        return (None, signal.Signals(number).name) if number > 0 else (code, None)
    except ValueError:
        return (None, f"signal {number}") if number <= signal.SIGRTMAX else (code, None)
