"""vLLM's own processes: whether they still do something, and that none is left."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psutil

_BUSY = 0.01
"""Processor time over time above which something goes on."""


@contextmanager
def signs_of_life(say: Callable[[str], None], what: str, every_s: float = 10.0) -> Iterator[None]:
    """Say that loading goes on as long as this process or one of its descendants does something: what hangs stays silent."""
    done = threading.Event()

    def watch() -> None:
        before = _cpu_s()
        begun = time.monotonic()
        while not done.wait(every_s):
            now = _cpu_s()
            # A process that has ended takes its time away with it.
            if abs(now - before) > _BUSY * every_s:
                say(f"{what} ({time.monotonic() - begun:.0f} s)")
            before = now

    say(what)
    thread = threading.Thread(target=watch, name="llem-vllm-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


class Descendants:
    """Processes that start below this one from now on; what was there before, such as llem's meters, is not touched."""

    def __init__(self) -> None:
        self._before = set(psutil.Process().children(recursive=True))

    def end(self, grace_s: float = 10.0) -> None:
        """Wait for all of them, and kill those that do not end by themselves."""
        left = [p for p in psutil.Process().children(recursive=True) if p not in self._before and not _is_tracker(p)]
        _, alive = psutil.wait_procs(left, timeout=grace_s)
        for process in alive:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(alive, timeout=grace_s)


def _is_tracker(process: psutil.Process) -> bool:
    """Python's own process that cleans up shared memory; it ends with the last process that holds its pipe."""
    try:
        return "resource_tracker" in " ".join(process.cmdline())
    except psutil.Error:
        return False


def _cpu_s() -> float:
    total = 0.0
    me = psutil.Process()
    for process in (me, *me.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        total += times.user + times.system
    return total
