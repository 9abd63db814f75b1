"""Forks of the fork server, and theirs: listed as what they are, and ended as any child."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import IO

FORK_SERVER, WORKER = "llem_warm.fork_server", "llem.worker"
NAMES = (FORK_SERVER, WORKER)
"""Names under which a process that forks another may be listed."""


def call_itself(module: str) -> None:
    """Have this forked process listed as `python -m MODULE`, not as the template that it came from.

    The kernel shows a program's arguments where they lie in its memory; a shorter name fits into the template's place.
    """
    fields = Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    start, end = int(fields[45]), int(fields[46])
    words = ctypes.string_at(start, end - start)
    at = next((place for name in NAMES if (place := words.find(b"-m\0" + name.encode())) >= 0), None)
    if at is not None:
        ctypes.memmove(start + at + len(b"-m\0"), module.encode().ljust(len(FORK_SERVER), b"\0"), len(FORK_SERVER))


class ForkedProcess:
    """A forked child: as much of `subprocess.Popen`, with both pipes, as a meter needs.

    Args:
        module: as whose program it is listed.
        main: what it does; its exit code.
    """

    def __init__(self, module: str, main: Callable[[], int]) -> None:
        inside, orders = os.pipe()
        answers, outside = os.pipe()
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            _be(module, main, inside, outside)
        os.close(inside)
        os.close(outside)
        self._handle = os.pidfd_open(self.pid)
        self.stdin: IO[bytes] | None = os.fdopen(orders, "wb", buffering=0)
        self.stdout: IO[bytes] | None = os.fdopen(answers, "rb", buffering=0)

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        if self.returncode is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Sleep until it has ended. Raises TimeoutExpired."""
        if self.returncode is None:
            poller = select.poll()
            poller.register(self._handle, select.POLLIN)
            if not poller.poll(None if timeout is None else timeout * 1000):
                raise subprocess.TimeoutExpired("a forked process", timeout or 0)
            _, status = os.waitpid(self.pid, 0)
            self.returncode = os.waitstatus_to_exitcode(status)
            os.close(self._handle)
        return self.returncode

    def terminate(self) -> None:
        """By SIGTERM."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """By SIGKILL."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self.returncode is None:
            signal.pidfd_send_signal(self._handle, number)


def _be(module: str, main: Callable[[], int], inside: int, outside: int) -> None:
    """In the child: two pipes and the log are all that it shares with its parent. Never returns."""
    code = 1
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        os.dup2(inside, 0)
        os.dup2(outside, 1)
        call_itself(module)
        os.closerange(3, max(int(entry.name) for entry in Path("/proc/self/fd").iterdir()) + 1)
        code = main()
    except BaseException:  # noqa: BLE001 - it must not go on as its parent
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)
