"""A program of its own, run by path: becomes the server's command, which the kernel ends with whoever started it.

    launch.py PARENT COMMAND...

It stands on the standard library alone and starts in milliseconds. Setting this between fork and exec of the worker instead
would run Python in a copy of a process that may have threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1
_NOT_STARTED = 127


def main(parent: int, command: Sequence[str]) -> int:
    """Become the command. Returns an exit code where that cannot be."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        return _NOT_STARTED  # it has died already, and the kernel will not tell
    try:
        os.execvp(command[0], list(command))
    except OSError as error:
        print(f"{command[0]} cannot be started: {error.strerror}", file=sys.stderr)
    return _NOT_STARTED


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
