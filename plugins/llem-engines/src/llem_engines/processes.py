"""An engine's own processes: whether they still do something, and that none is left."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress

import psutil

_BUSY = 0.01
"""Processor time over time above which something goes on."""
_POLL_S = 0.02


@contextmanager
def signs_of_life(
    say: Callable[[str], None], what: str, pid: int | None = None, every_s: float = 10.0
) -> Iterator[None]:
    """Say that loading goes on as long as a process or one of its descendants does something: what hangs stays silent.

    Args:
        say: takes the lines.
        what: is going on.
        pid: of the process; None for this one.
        every_s: time between two lines.
    """
    done = threading.Event()

    def watch() -> None:
        before = _cpu_s(pid)
        begun = time.monotonic()
        while not done.wait(every_s):
            now = _cpu_s(pid)
            # A process that has ended takes its time away with it.
            if abs(now - before) > _BUSY * every_s:
                say(f"{what} ({time.monotonic() - begun:.0f} s)")
            before = now

    say(what)
    thread = threading.Thread(target=watch, name="llem-engine-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


class Descendants:
    """Processes that start below this one from now on; what was there before, such as llem's meters, is not touched."""

    def __init__(self) -> None:
        self._before = set(below())
        self._seen: set[psutil.Process] = set()

    def look(self) -> None:
        """Take down those that run now. One whose parent is killed is nobody's descendant any more, and runs on."""
        self._seen.update(p for p in below() if p not in self._before and not _is_tracker(p))

    def end(self, grace_s: float = 10.0) -> None:
        """Wait for all of them, and kill those that do not end by themselves."""
        self.look()
        kill(_running(self._seen, grace_s), grace_s)


def below(pid: int | None = None) -> list[psutil.Process]:
    """The descendants of a process, or of this one; none where it has ended."""
    with suppress(psutil.Error):
        return psutil.Process(pid).children(recursive=True)
    return []


def kill(processes: Collection[psutil.Process], within_s: float) -> None:
    """Kill them, and wait until they have ended, so long at most."""
    for process in processes:
        with suppress(psutil.Error):
            process.kill()
    _running(processes, within_s)


def _running(processes: Collection[psutil.Process], within_s: float) -> list[psutil.Process]:
    """Those that have not ended within the time. One that only waits for another to collect it has ended."""
    end = time.monotonic() + within_s
    while True:
        psutil.wait_procs(processes, timeout=0)  # collects our own children
        running = [process for process in processes if runs(process)]
        if not running or time.monotonic() > end:
            return running
        time.sleep(_POLL_S)


def runs(process: psutil.Process) -> bool:
    """True for one that has not ended. One that only waits for another to collect it has."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _is_tracker(process: psutil.Process) -> bool:
    """Python's own process that cleans up shared memory; it ends with the last process that holds its pipe."""
    try:
        return "resource_tracker" in " ".join(process.cmdline())
    except psutil.Error:
        return False


def _cpu_s(pid: int | None) -> float:
    total = 0.0
    with suppress(psutil.Error):
        for process in (psutil.Process(pid), *below(pid)):
            with suppress(psutil.Error):
                times = process.cpu_times()
                total += times.user + times.system
    return total
