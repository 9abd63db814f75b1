"""Kinds of failures that a runner in containers can tell, as results name them, and the kernel's count behind one of them."""

from __future__ import annotations

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
