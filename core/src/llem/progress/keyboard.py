"""Enter, pressed in a pause."""

from __future__ import annotations

import os
import select
import sys
import termios


class Keyboard:
    """Listens to the terminal that llem was started from, where it was.

    Attributes:
        listens: whether anything typed would be heard.
    """

    def __init__(self) -> None:
        self.listens = sys.stdin is not None and sys.stdin.isatty()

    def forget(self) -> None:
        """Drop what was typed so far: it is not meant for what comes."""
        if self._is_ours():
            termios.tcflush(sys.stdin, termios.TCIFLUSH)

    def lines(self) -> int:
        """Number of lines that were typed; returns at once."""
        if not self._is_ours() or not select.select([sys.stdin], [], [], 0)[0]:
            return 0
        typed = os.read(sys.stdin.fileno(), 4096)
        if not typed:
            self.listens = False  # the terminal's input has ended
        return typed.count(b"\n")

    def _is_ours(self) -> bool:
        """Tell whether the terminal's input is ours; a job in the background would be stopped for reading it."""
        if not self.listens:
            return False
        try:
            return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
        except OSError:
            return False
