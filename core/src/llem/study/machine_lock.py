"""One llem at a time measures on this machine: two would be in each other's figures.

Two files in a folder that all users of the machine share. `flock` on the first is held by the llem that measures alone;
whoever measures beside others (`--allow-shared`) holds a shared lock on the second, so that each side sees the other. The
kernel takes locks back when their holder ends, however it ends. A container has a folder of its own, unless the machine's is
mounted into it (`LLEM_LOCK_DIR` names it): llem inside and llem outside know of each other only then.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from llem.errors import PreflightError
from llem.study.lock import NO_LOCKS, LockFile, take_within

LOCK_DIR = "LLEM_LOCK_DIR"
"""The variable that names the folder."""

FOLDERS = (Path("/run/lock"), Path("/tmp"))
ALONE, BESIDE = "llem-machine.lock", "llem-beside.lock"

_PATIENCE_S = 0.5
"""Whoever only asks has a lock for an instant."""


def lock_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder of the machine's lock: what `LLEM_LOCK_DIR` says, else the first that every user can write."""
    if environ.get(LOCK_DIR):
        return Path(environ[LOCK_DIR])
    return next((f for f in FOLDERS if f.is_dir() and os.access(f, os.W_OK | os.X_OK)), Path(tempfile.gettempdir()))


class MachineLock:
    """This machine, for a study that measures on it. Nothing is held until `take` or `share`.

    Args:
        study: its name, for whoever waits.
        folder: where the lock is kept; by default as `lock_folder` says.

    Raises:
        PreflightError: the folder takes no such file.
    """

    def __init__(self, study: str, folder: Path | None = None) -> None:
        folder = lock_folder() if folder is None else folder
        self._study = study
        self._files: list[LockFile] = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._alone = self._open(folder / ALONE)
            self._beside = self._open(folder / BESIDE)
        except OSError as error:
            self.release()
            raise PreflightError(
                f"nothing keeps a second llem from measuring on this machine at the same time: {error.strerror or error}.",
                where=str(folder),
                remedy=f"Set {LOCK_DIR} to a folder that every user of this machine can write.",
            ) from error
        self._is_alone = False

    def take(self) -> str | None:
        """Have the machine alone. Returns None where that is so now, else who has it, in words."""
        with _or_without_locks():
            try:
                take_within(self._alone.descriptor, _PATIENCE_S)
            except BlockingIOError:
                return self._alone.holder_text()
            try:
                take_within(self._beside.descriptor, _PATIENCE_S)
            except BlockingIOError:
                fcntl.flock(self._alone.descriptor, fcntl.LOCK_UN)
                return self._beside.holder_text()
            fcntl.flock(self._beside.descriptor, fcntl.LOCK_UN)
            self._is_alone = True
            self._alone.write_holder(study=self._study)
        return None

    def share(self) -> None:
        """Measure beside whoever else does."""
        with _or_without_locks():
            fcntl.flock(self._beside.descriptor, fcntl.LOCK_SH)
            self._beside.write_holder(study=self._study)

    def others(self) -> str | None:
        """Others that measure on this machine now, in words; None where nobody does."""
        with _or_without_locks(), suppress(OSError):
            if self._is_alone:
                return self._beside.holder_text() if _is_held(self._beside) else None
            if _is_held(self._alone):
                return self._alone.holder_text()
            # Only who shares alone can have this lock for itself; then it is given back.
            try:
                fcntl.flock(self._beside.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return "another llem that shares the machine"
            finally:
                fcntl.flock(self._beside.descriptor, fcntl.LOCK_SH)
        return None

    def release(self) -> None:
        """Let the next one in. Harmless when repeated."""
        while self._files:
            file = self._files.pop()
            if file is getattr(self, "_alone", None) and self._is_alone:
                file.write_holder(None)
            file.close()

    def _open(self, path: Path) -> LockFile:
        file = LockFile(_open_for_all(path))
        self._files.append(file)
        return file


def _open_for_all(path: Path) -> int:
    """A regular file that every user may lock. Raises OSError.

    In a folder with the sticky bit the kernel refuses to open another user's file with O_CREAT, so that it is tried without
    first; and nobody follows a link that somebody else has put there.
    """
    flags = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    for _ in range(100):
        for access in (os.O_RDWR, os.O_RDONLY):
            try:
                return _regular(os.open(path, flags | access))
            except FileNotFoundError:
                break
            except PermissionError:
                if access == os.O_RDONLY:
                    raise
        with suppress(FileExistsError):
            made = os.open(path, flags | os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
            os.fchmod(made, 0o666)  # whatever this user's umask says: others have to be able to say who holds it
            return made
    raise OSError(errno.EAGAIN, f"{path.name} comes and goes")


def _regular(descriptor: int) -> int:
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "its lock is no file of llem's own")


def _is_held(file: LockFile) -> bool:
    """True where another process has the lock, exclusive or shared."""
    try:
        take_within(file.descriptor, _PATIENCE_S)
    except BlockingIOError:
        return True
    fcntl.flock(file.descriptor, fcntl.LOCK_UN)
    return False


@contextmanager
def _or_without_locks() -> Iterator[None]:
    """Pass over a file system without locks: there is nothing to hold and nobody to be seen."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
