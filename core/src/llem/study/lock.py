"""One llem at a time works on a study's folder: a lock that the kernel takes back when its holder ends, however it ends.

The lock is `flock` on the file `.lock`, which also says who holds it. Linux carries such locks over NFS (version 4, or
version 3 with its lock service), so that two hosts exclude each other too. Where a file system has no locks, or an NFS
mount keeps them to each host (`nolock`, `local_lock`), what the file says is all there is: see `Lock.doubt`.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import platform
import shlex
import stat
import time
import weakref
from pathlib import Path
from types import TracebackType
from typing import Any

from llem.errors import PreflightError
from llem.files import parse_json
from llem.study.manifest.manifest import now_utc

LOCK = ".lock"

_OPEN = os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW
"""It is written to: in a folder from elsewhere it could be a link to any file of the user's."""

NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
"""Errors of a file system that has no locks, such as Lustre mounted without them."""

_PATIENCE_S = 1.0
"""Whoever only asks whether the lock is held has it for an instant; see `is_held`."""

_held: weakref.WeakSet[LockFile] = weakref.WeakSet()


class LockFile:
    """An open file that locks are taken on, and that says who has them. A process that is forked has no part in it.

    Args:
        descriptor: of the open file; may be one that cannot be written.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        _held.add(self)

    def holder(self) -> dict[str, Any]:
        """Holder of the lock, or the last one that ended without releasing it; empty where there is none."""
        try:
            found = parse_json(os.pread(self.descriptor, 4096, 0) or b"{}")
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def holder_text(self) -> str:
        """The same in words, as `another llem (process 12 on NODE, study NAME, since TIME)`."""
        return f"another llem{_named(self.holder())}"

    def write_holder(self, study: str | None) -> None:
        """Say that this process holds it, for a study; None where nobody does any more."""
        holder = None if study is None else {**_oneself(), "study": study}
        self.write(holder)

    def write(self, holder: dict[str, Any] | None) -> None:
        """Write who holds it."""
        data = json.dumps(holder).encode() if holder else b""
        try:
            os.ftruncate(self.descriptor, 0)
            os.pwrite(self.descriptor, data, 0)
        except OSError:
            return  # a full disk, or another user's file: the lock holds, it only cannot say who has it

    def close(self) -> None:
        """Give up what is held."""
        if self in _held:
            _held.discard(self)
            os.close(self.descriptor)


class Lock:
    """Held from the moment it is made until `release`, or until this process ends.

    Args:
        directory: the study's folder.

    Raises:
        PreflightError: another llem works on the folder, or it cannot be written.

    Attributes:
        doubt: what remains uncertain, a sentence, where the lock cannot exclude everybody; else None.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / LOCK
        self.doubt: str | None = None
        try:
            self._file = LockFile(os.open(self._path, _OPEN | os.O_RDWR | os.O_CREAT, 0o666))
        except OSError as error:
            raise PreflightError(
                f"the study's folder cannot be written: {error.strerror}.",
                where=str(directory),
                remedy="Mend its permissions or make room.",
            ) from error
        try:
            _require_file(self._file.descriptor, directory)
            self._take(directory)
        except BaseException:
            self._file.close()
            raise

    def _take(self, directory: Path) -> None:
        locked = True
        try:
            take_within(self._file.descriptor, _PATIENCE_S)
        except BlockingIOError as error:
            raise _busy(directory, self._file.holder()) from error
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise PreflightError(f"the study cannot be locked: {error.strerror}.", where=str(self._path)) from error
            locked = False
        before, here = self._file.holder(), platform.node()
        if not locked and before.get("host") == here and _lives(before):
            raise _busy(directory, before)
        if not locked:
            self.doubt = (
                f"the file system of {directory} has no locks, so nothing keeps a second llem on another machine from "
                "working on this study: see to it that there is none."
            )
        elif before and before.get("host") != here:
            self.doubt = (
                f"the last llem on this study{_named(before)} never closed it. Its lock is free, so it has ended, unless "
                "the folder is on a network file system whose locks hold for one machine only (NFS with nolock or "
                "local_lock): then see to it that it has."
            )
        self._file.write(_oneself())

    def release(self) -> None:
        """Let the next one in. Harmless when repeated."""
        if self._file in _held:
            self._file.write(None)
        self._file.close()

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()


def _require_file(file: int, directory: Path) -> None:
    if not stat.S_ISREG(os.fstat(file).st_mode):
        raise PreflightError(
            f"the study cannot be locked: its {LOCK} is no regular file.",
            where=str(directory),
            remedy=f"Remove it: rm {shlex.quote(str(directory / LOCK))}.",
        )


def is_held(directory: Path) -> bool:
    """Tell whether an llem works on this study now, as far as locks can; False where the folder cannot be read."""
    try:
        file = os.open(directory / LOCK, _OPEN | os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(file)
    return False


def take_within(file: int, patience_s: float) -> None:
    """Take the lock. Raises BlockingIOError where somebody holds it all the time, OSError where there are no locks."""
    end = time.monotonic() + patience_s
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise
        time.sleep(0.05)


def _in_child() -> None:
    for file in list(_held):
        file.close()  # the lock stays with the parent alone


os.register_at_fork(after_in_child=_in_child)


def _busy(directory: Path, holder: dict[str, Any]) -> PreflightError:
    return PreflightError(
        f"another llem works on this study{_named(holder)}.",
        where=str(directory),
        remedy="Wait until it has ended, or end it (Ctrl+C there, or `kill` its process); then try again.",
    )


def _oneself() -> dict[str, Any]:
    return {"host": platform.node(), "pid": os.getpid(), "born": _born(os.getpid()), "since": now_utc()}


def _named(holder: dict[str, Any]) -> str:
    if "pid" not in holder:
        return ""
    study = f", study {holder['study']}" if holder.get("study") else ""
    told = f" (process {holder['pid']} on {holder.get('host')}{study}, since {holder.get('since')})"
    return "".join(c if c.isprintable() else "?" for c in told)  # anybody may write such a file


def _lives(holder: dict[str, Any]) -> bool:
    """Tell whether the process is still there, and not another one that was given its number."""
    born = _born(holder.get("pid"))
    return born is not None and born == holder.get("born") and holder.get("pid") != os.getpid()


def _born(pid: object) -> str | None:
    """Start of a process, in clock ticks since boot, with the boot; None where there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None
    return f"{boot} {stat.rpartition(')')[2].split()[19]}"
