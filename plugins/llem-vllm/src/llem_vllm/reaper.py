"""A program of its own, run by path: when a process has ended in whatever way, its group ends too.

    reaper.py PID

vLLM's engine and workers are processes below its server, and do not notice that it was killed. The kernel tells this program,
which sleeps meanwhile. It stands on the standard library alone.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from contextlib import suppress


def main(pid: int) -> None:
    """Wait for the end of the process that leads a group, then kill what is left of the group."""
    with suppress(ProcessLookupError):
        watched = os.pidfd_open(pid)
        if os.getppid() == pid:
            select.select([watched], [], [])
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


if __name__ == "__main__":
    main(int(sys.argv[1]))
