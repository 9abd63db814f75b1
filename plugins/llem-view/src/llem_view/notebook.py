"""The view in a notebook: one output below the cell, replaced as the study goes on."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from html import escape
from importlib import import_module
from typing import Any

DRAW_S = 1.0
"""Shortest time between two replacements of the view."""

KEPT = 40
"""Number of lines that stay above the view; a study of thousands would make the notebook's file large."""

WIDTH, HEIGHT = 110, 20


def is_notebook() -> bool:
    """Tell whether this process is a notebook's kernel."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")


class NotebookView:
    """A live view in an output of its own. Drawn by whoever tells it something; nothing runs besides.

    Args:
        lines: the view for a width and a height.
    """

    def __init__(self, lines: Callable[[int, int], Sequence[str]]) -> None:
        self._lines = lines
        self._said: deque[str] = deque(maxlen=KEPT)
        self._dropped = 0
        self._drawn_s = time.monotonic()
        display: Any = import_module("IPython.display").display
        self._output = display(self._bundle([]), raw=True, display_id=True)

    def say(self, text: str) -> None:
        """A line that stays, above the view."""
        self._dropped += len(self._said) == KEPT
        self._said.append(text)
        self.draw()

    def draw(self) -> None:
        """Replace the output."""
        self._drawn_s = time.monotonic()
        self._output.update(self._bundle(self._lines(WIDTH, HEIGHT)), raw=True)

    def changed(self) -> None:
        """Something was told: draw, where the last time is long enough ago."""
        if time.monotonic() - self._drawn_s >= DRAW_S:
            self.draw()

    def echoed(self, newlines: int) -> None:
        """Nobody types here."""

    def close(self) -> None:
        """Leave only the lines that stay."""
        self._output.update(self._bundle([]), raw=True)

    def _bundle(self, view: Sequence[str]) -> dict[str, str]:
        earlier = [f"… {self._dropped:,} earlier lines"] if self._dropped else []
        text = "\n".join([*earlier, *self._said, *view])
        return {"text/plain": text, "text/html": f"<pre>{escape(text)}</pre>"}
