"""Finds the processes of one test by a mark in their environment, and kills them for real."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

MARK = "CRASH_MARK"
"""The variable that marks every process of a test."""

Role = Literal["host", "fork_server", "supervisor", "worker", "sampler"]

PATIENCE_S = 120.0
"""Nothing here takes so long on any machine; a wait that does ends the test."""


def marked(mark: str) -> dict[int, list[str]]:
    """The living processes of a test: number to command line."""
    wanted = f"{MARK}={mark}".encode()
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                if words != [""]:  # one that has ended and was not fetched yet
                    found[int(entry.name)] = words
        except OSError:
            continue  # it has ended meanwhile
    return found


def roles(mark: str) -> dict[int, Role]:
    """The kind of each process of a test: by its command line, or by whose fork it is."""
    found: dict[int, Role] = {}
    living = marked(mark)

    def role_of(pid: int) -> Role | None:
        words = living.get(pid, [])
        if any(word.endswith("supervisor.py") for word in words):
            return "supervisor"
        if "llem.measure.sampling" in words:
            return "sampler"
        if "llem.worker" in words:
            return "worker"
        if "llem_warm.fork_server" in words:
            return _FORKS.get(role_of(_parent(pid)), "fork_server")
        return "host" if "llem" in words else None

    for pid in living:
        role = role_of(pid)
        if role is not None:
            found[pid] = role
    return found


_FORKS: dict[Role | None, Role] = {"fork_server": "supervisor", "supervisor": "worker", "worker": "sampler"}
"""Kinds of a fork server's forks, by what has forked them."""


def _parent(pid: int) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return 0  # it has ended meanwhile
    return int(stat.rpartition(")")[2].split()[1])


def find(mark: str, role: Role) -> int | None:
    """A process of a test in this role, the youngest where there are several."""
    return max((pid for pid, is_ in roles(mark).items() if is_ == role), default=None)


def kill(pid: int) -> bool:
    """SIGKILL, never to another process that got the number meanwhile. False where it had ended before."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        if not Path(f"/proc/{pid}/cmdline").read_bytes():
            return False
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def wait_for(condition: Callable[[], object], what: str, seconds: float = PATIENCE_S) -> None:
    """Wait until something holds. Raises AssertionError where it does not in all that time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {seconds:g} s"
        time.sleep(0.01)


def all_gone(mark: str) -> None:
    """Wait until no process of a test is left. Raises AssertionError, which names those that are, after ending them."""
    try:
        wait_for(lambda: not marked(mark), "no process is left over", 60)
    except AssertionError:
        left = marked(mark)
        for pid in left:
            kill(pid)
        raise AssertionError(
            f"processes are left over: { {pid: ' '.join(words)[:200] for pid, words in left.items()} }"
        ) from None
