"""The pacer: calls at given instants, in the event loop that runs.

It is called as exactly as that loop waits: see `selector.PromptSelector`. A thread that slept until each instant would be woken as
exactly, and would then wait for the interpreter and wake the loop besides.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Sequence

SWITCH_S = 0.0005
"""Python's interpreter changes threads so often while arrivals are paced: by default another thread keeps the loop waiting 5 ms."""


class Pacer:
    """Calls `release(first, last)` in an event loop for the arrivals that have come due: those of these places, `last` left out.

    Args:
        offsets_ns: instants from the start, ascending.
        release: called in the loop.
    """

    def __init__(self, offsets_ns: Sequence[int], release: Callable[[int, int], None]) -> None:
        self._offsets_ns, self._release = offsets_ns, release
        self._at, self._start_ns = 0, 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._interval_s = sys.getswitchinterval()

    def start(self, start_ns: int) -> None:
        """Begin, in the loop that runs; offsets count from this instant (monotonic ns)."""
        self._loop, self._start_ns = asyncio.get_running_loop(), start_ns
        sys.setswitchinterval(SWITCH_S)
        self._wait()

    def end(self) -> None:
        """Call no more. Harmless when repeated."""
        if self._loop is None:
            return
        self._loop = None
        if self._timer is not None:
            self._timer.cancel()
        sys.setswitchinterval(self._interval_s)

    def _wait(self) -> None:
        if self._loop is not None and self._at < len(self._offsets_ns):
            left_s = (self._start_ns + self._offsets_ns[self._at] - time.monotonic_ns()) / 1e9
            self._timer = self._loop.call_later(max(left_s, 0.0), self._due)

    def _due(self) -> None:
        first, count, offsets_ns = self._at, len(self._offsets_ns), self._offsets_ns
        since_ns = time.monotonic_ns() - self._start_ns
        while self._at < count and offsets_ns[self._at] <= since_ns:
            self._at += 1
        try:
            if self._at > first:
                self._release(first, self._at)
        finally:
            self._wait()
