"""Processes, threads and files that a plugin leaves behind, and the time for which a thread is awake."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

_PYTHONS_OWN = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")
"""Helpers that Python keeps until the process ends, whoever asked for them."""

LINGER_S = 30.0
"""Time that what is ending may take, on a machine that is busy with something else too."""


def is_alive(pid: int) -> bool:
    """Tell whether a process is there and does something; one that has ended and waits to be fetched does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def descendants() -> dict[int, str]:
    """Processes below this one by pid, each with its command line."""
    found = {}
    for child in psutil.Process().children(recursive=True):
        try:
            words = " ".join(child.cmdline())
            if child.status() != psutil.STATUS_ZOMBIE and not any(name in words for name in _PYTHONS_OWN):
                found[child.pid] = words
        except psutil.Error:
            continue
    return found


def settled(what: Callable[[], object]) -> object:
    """The answer of a look once it gives nothing, or at the end of `LINGER_S`."""
    end = time.monotonic() + LINGER_S
    while (found := what()) and time.monotonic() < end:
        time.sleep(0.05)
    return found


@contextmanager
def nothing_left(*, threads: bool = True, files: bool = True) -> Iterator[None]:
    """Fails where the block leaves a process, a thread or an open file behind.

    Args:
        threads: look at threads as well; files: look at open files as well.
    """
    processes, running, open_files = set(descendants()), set(threading.enumerate()), _open_files()
    yield
    left = settled(lambda: {pid: words for pid, words in descendants().items() if pid not in processes})
    assert not left, f"processes are left: {left}"
    if threads:
        names = settled(lambda: [t.name for t in threading.enumerate() if t not in running])
        assert not names, f"threads are left: {names}"
    if files:
        more = settled(lambda: max(0, _open_files() - open_files))
        assert not more, f"{more} open files are left"


def _open_files() -> int:
    gc.collect()  # what nobody can reach any more is closed by Python, sooner or later
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - counted, the listing's own included each time


def awake_s() -> float:
    """Seconds for which this thread ran or was ready to run, so far.

    On a busy machine one that spins gets little of a processor, and is ready all the time. Where the kernel does not count that,
    it is the time on a processor alone.
    """
    try:
        ran_ns, ready_ns, _ = Path("/proc/thread-self/schedstat").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return time.thread_time()
    return (int(ran_ns) + int(ready_ns)) / 1e9
