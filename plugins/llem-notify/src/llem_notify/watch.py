"""A watch over a study: tells once when nothing has happened for a while, and again after the next silence."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Watch:
    """A thread that waits for a silence.

    Args:
        after_s: length of a silence that is told; None starts no thread.
        tell: takes the length of the silence in seconds.
    """

    def __init__(self, after_s: float | None, tell: Callable[[float], None]) -> None:
        self._after_s, self._tell = after_s, tell
        self._changed = threading.Condition()
        self._last, self._is_over, self._is_told = time.monotonic(), False, False
        if after_s is not None:
            threading.Thread(target=self._work, args=(after_s,), name="notify-watch", daemon=True).start()

    def happened(self) -> None:
        """Something has started or ended."""
        with self._changed:
            self._last, self._is_told = time.monotonic(), False
            self._changed.notify()

    def close(self) -> None:
        """End the watch."""
        with self._changed:
            self._is_over = True
            self._changed.notify()

    def _work(self, after_s: float) -> None:
        with self._changed:
            while not self._is_over:
                silent_s = time.monotonic() - self._last
                if self._is_told:
                    self._changed.wait()
                elif silent_s < after_s:
                    self._changed.wait(after_s - silent_s)
                else:
                    self._is_told = True
                    self._tell(silent_s)
