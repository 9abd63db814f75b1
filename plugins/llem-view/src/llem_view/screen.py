"""The lowest lines of a terminal, kept alive: drawn anew once a second below whatever is printed.

The cursor rests at the first character of the view and not behind it. Where the terminal is resized its lines may be broken
anew or cut, and in both cases all of the view is right of and below the cursor, so that one command clears it.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Sequence
from typing import TextIO

TICK_S = 1.0
"""Time between two drawings: time goes on also where nothing happens, and drawing takes power too."""

_CLEAR = "\r\x1b[J"


class Screen:
    """A live view on a terminal. Drawn in a thread of its own, from `open` to `close`.

    Args:
        stream: a terminal.
        lines: the view for a width and a height; called under a lock.
    """

    def __init__(self, stream: TextIO, lines: Callable[[int, int], Sequence[str]]) -> None:
        self._stream, self._lines = stream, lines
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._is_drawn = False
        self._thread = threading.Thread(target=self._tick, name="progress", daemon=True)
        self._thread.start()

    def say(self, text: str) -> None:
        """Print above the view."""
        with self._lock:
            self._stream.write(f"{self._cleared()}{text}\n{self._view()}")
            self._stream.flush()

    def draw(self) -> None:
        """Draw anew, as of now."""
        with self._lock:
            self._stream.write(f"{self._cleared()}{self._view()}")
            self._stream.flush()

    def changed(self) -> None:
        """Something was told; it is drawn at the next tick."""

    def echoed(self, newlines: int) -> None:
        """The user typed so many lines, which moved the cursor down."""
        with self._lock:
            if self._is_drawn and newlines:
                self._stream.write(f"\x1b[{newlines}A")

    def close(self) -> None:
        """Clear the view away. Harmless when repeated."""
        if self._over.is_set():
            return
        self._over.set()
        with self._lock, contextlib.suppress(OSError, ValueError):
            self._stream.write(self._cleared())
            self._stream.flush()
        self._thread.join()

    def _tick(self) -> None:
        while not self._over.wait(TICK_S):
            try:
                self.draw()
            except (OSError, ValueError):
                return  # the terminal is gone; what is printed next tells who prints

    def _cleared(self) -> str:
        drawn, self._is_drawn = self._is_drawn, False
        return _CLEAR if drawn else ""

    def _view(self) -> str:
        """The view, with the cursor at its begin. In the background nothing: somebody else is writing on the terminal."""
        if self._over.is_set() or not _is_foreground(self._stream):
            return ""
        width, height = _size(self._stream)
        lines = self._lines(width - 1, height)
        if not lines:
            return ""
        self._is_drawn = True
        up = f"\x1b[{len(lines) - 1}A" if len(lines) > 1 else ""
        return "\n".join(lines) + up + "\r"


def _size(stream: TextIO) -> tuple[int, int]:
    """Columns and rows of this terminal; standard output may be elsewhere, and COLUMNS out of date."""
    try:
        size = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        return 80, 24
    return size.columns or 80, size.lines or 24


def _is_foreground(stream: TextIO) -> bool:
    try:
        return os.tcgetpgrp(stream.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        return True  # no terminal of ours to ask about: it was given to us as one
