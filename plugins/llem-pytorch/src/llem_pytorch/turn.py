"""A lock that is handed on in order."""

from __future__ import annotations

import threading
from types import TracebackType


class Turn:
    """A lock that whoever asked for it gets next, even where its holder asks again at once.

    A thread that runs batch after batch would else keep out one that wants in between.
    """

    def __init__(self) -> None:
        self._line, self._held = threading.Lock(), threading.Lock()

    def __enter__(self) -> None:
        with self._line:
            self._held.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.release()
