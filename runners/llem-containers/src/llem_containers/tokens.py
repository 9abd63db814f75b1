"""The hub's access token: given to a container as a file that is gone from this machine's disk once it runs."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

_MEMORY = Path("/dev/shm")
"""A file system without a disk behind it."""


class TokenFile:
    """A token in a file that its owner alone reads; removed at the end of the `with` block, while a mount of it stays."""

    def __init__(self, token: str) -> None:
        parent = _MEMORY if _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) else None
        self._folder = tempfile.mkdtemp(prefix="llem-", dir=parent)
        self.path = Path(self._folder, "token")
        with os.fdopen(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "w") as stream:
            stream.write(token)

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
