"""Ctrl+C and its kin: the first asks the study to stop cleanly, the second to stop at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any


class AtOnce(BaseException):
    """The second interrupt, raised only inside `Interrupts.urgent()`."""


class Interrupts:
    """Counts SIGINT, SIGTERM and SIGHUP while it is entered; harmless outside the main thread, which alone gets signals.

    A handler only counts, so that no signal tears a write to the manifest; whoever waits looks at `asked`.
    """

    def __init__(self) -> None:
        self.count = 0
        self._urgent = False
        self._before: dict[int, Any] = {}

    @property
    def asked(self) -> bool:
        """The study shall stop."""
        return self.count >= 1

    @property
    def at_once(self) -> bool:
        """The study shall stop now, without grace for anything."""
        return self.count >= 2

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if number == signal.SIGHUP and signal.getsignal(number) in (signal.SIG_IGN, None):
                    continue  # nohup: the study outlives its terminal on purpose
                self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._before.items():
            # A handler that was not installed from Python reads as None and cannot be put back.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._before.clear()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self._urgent and self.at_once:
            self._urgent = False
            raise AtOnce

    @contextmanager
    def urgent(self) -> Iterator[None]:
        """Inside, the second interrupt ends whatever blocks, by `AtOnce`. For waits only, never around a write."""
        if self.at_once:
            raise AtOnce
        self._urgent = True
        try:
            yield
        finally:
            self._urgent = False
