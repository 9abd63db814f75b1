"""A worker's log, line by line as it comes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from llem.files import open_file

LOG_POLL_S = 0.5


class LogTail:
    """Follows a worker's log in a thread and hands each whole line on."""

    def __init__(self, path: Path, say: Callable[[str], None]) -> None:
        self._path = path
        self._say = say
        self._offset = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="log-tail", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Hand on what is left, and end."""
        self._done.set()
        self._thread.join()

    def _follow(self) -> None:
        while not self._done.wait(LOG_POLL_S):
            self._read(final=False)
        self._read(final=True)

    def _read(self, *, final: bool) -> None:
        try:
            with open_file(self._path) as stream:
                stream.seek(self._offset)
                data = stream.read()
        except OSError:
            return
        whole, newline, _ = data.rpartition(b"\n")
        if final:
            whole, newline = data, b""
        self._offset += len(whole) + len(newline)
        for line in whole.decode("utf-8", errors="replace").splitlines():
            self._say(f"  | {line}")
