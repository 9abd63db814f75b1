"""A container's output as it comes: into `worker.log`, without secrets and without what steers a terminal."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

import requests
from docker.errors import DockerException

from llem_containers.text import MOST_BYTES, clean

_LONGEST_LINE = 2**16


class LogStream:
    """Writes what a container prints to a file, in a thread of its own, from before the start to the end.

    Args:
        stream: pieces of output, such as `attach` gives.
        file: appended to.
        secrets: texts that never get there.
    """

    def __init__(self, stream: Iterable[bytes], file: Path, secrets: Sequence[str] = ()) -> None:
        self._stream = stream
        self._file = file
        self._secrets = [secret.encode() for secret in secrets]
        self._written = 0
        self._rest = b""
        self._thread = threading.Thread(target=self._run, name="llem-docker-log", daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """The container has closed its output, or the engine has gone."""
        return not self._thread.is_alive()

    def close(self, timeout_s: float) -> None:
        """Wait for the end of the output, at most so long."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        with self._file.open("ab", buffering=0) as out:
            try:
                for piece in self._stream:
                    self._take(piece, out)
            except (DockerException, requests.RequestException, OSError, ValueError) as error:
                self._write(f"llem: the container's output broke off: {type(error).__name__}\n".encode(), out)
            self._write(self._rest, out)

    def _take(self, piece: bytes, out: BinaryIO) -> None:
        self._rest += piece
        # Whole lines, so that no secret is missed for being torn between two pieces.
        cut = max(self._rest.rfind(b"\n"), self._rest.rfind(b"\r")) + 1
        if not cut and len(self._rest) > _LONGEST_LINE:
            cut = len(self._rest)
        if cut:
            whole, self._rest = self._rest[:cut], self._rest[cut:]
            self._write(whole, out)

    def _write(self, text: bytes, out: BinaryIO) -> None:
        if self._written >= MOST_BYTES or not text:
            return
        text = clean(text, self._secrets)[: MOST_BYTES - self._written]
        self._written += len(text)
        try:
            out.write(text)
            if self._written >= MOST_BYTES:
                out.write(f"\nllem: the log ends here, at {MOST_BYTES // 2**20} MiB\n".encode())
        except OSError:
            self._written = MOST_BYTES  # the disk is full: go on reading, or the container would wait
