"""The pacer: calls at given instants, from a thread that sleeps until each.

An event loop wakes up in whole milliseconds and late; a thread that sleeps is woken by the kernel within some tens of
microseconds, and hands the call over at once.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Sequence

SWITCH_S = 0.0005
"""Python's interpreter changes threads so often while arrivals are paced: by default a busy loop keeps the pacer waiting 5 ms."""

_LONGEST_SLEEP_S = 0.2
"""The pacer looks so often whether it shall end."""


class Pacer:
    """Calls `release(first, last)` in an event loop for the arrivals that have come due: those of these places, `last` left out.

    Args:
        offsets_ns: instants from the start, ascending.
        release: called in the loop.
    """

    def __init__(self, offsets_ns: Sequence[int], release: Callable[[int, int], None]) -> None:
        self._offsets_ns, self._release = offsets_ns, release
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._interval_s = sys.getswitchinterval()

    def start(self, start_ns: int) -> None:
        """Begin, in the loop that runs; offsets count from this instant (monotonic ns)."""
        loop = asyncio.get_running_loop()
        sys.setswitchinterval(SWITCH_S)
        self._thread = threading.Thread(target=self._run, args=(loop, start_ns), name="llem-pacer", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Call no more. Harmless when repeated."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            sys.setswitchinterval(self._interval_s)

    def _run(self, loop: asyncio.AbstractEventLoop, start_ns: int) -> None:
        at, count, offsets_ns = 0, len(self._offsets_ns), self._offsets_ns
        while at < count and not self._ended.is_set():
            wait_s = (start_ns + offsets_ns[at] - time.monotonic_ns()) / 1e9
            if wait_s > 0:
                time.sleep(min(wait_s, _LONGEST_SLEEP_S))
                continue
            since_ns, first = time.monotonic_ns() - start_ns, at
            while at < count and offsets_ns[at] <= since_ns:
                at += 1
            try:
                loop.call_soon_threadsafe(self._release, first, at)
            except RuntimeError:  # the loop was closed while this slept: nobody is there to be called
                return
