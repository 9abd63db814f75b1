"""The temporary folder of one worker, and what becomes of those whose llem was killed before it could remove them.

The folder's name says whose it is: boot and process namespace, number and start of the process. Only a folder of this user
whose owner is provably gone, and which no process has for its own, is removed; one of another machine, of another container
or of a form that is not known stays.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_NAME = re.compile(r"llem-(?P<here>[0-9a-f]{12})-(?P<pid>\d+)-(?P<born>\d+)-\w{8}")


def new_scratch() -> str:
    """An empty folder for one worker of this process. Raises OSError."""
    return tempfile.mkdtemp(prefix=scratch_prefix())


def scratch_prefix() -> str:
    """Beginning of the names of this process's temporary folders."""
    pid = os.getpid()
    return f"llem-{_here()}-{pid}-{_born(pid) or 0}-"


def clear_scratch(root: Path | None = None) -> int:
    """Remove the folders that killed llem left in the temporary folder, and tell how many there were."""
    left = list(_dead(root or Path(tempfile.gettempdir())))
    in_use = _used() if left else set()
    removed = 0
    for path in left:
        if str(path) not in in_use and os.path.realpath(path) not in in_use:
            shutil.rmtree(path, ignore_errors=True)
            removed += not path.exists()
    return removed


def _dead(root: Path) -> Iterator[Path]:
    """Folders of this user whose owner ran in this boot and namespace, and has ended."""
    here = _here()
    try:
        entries = list(os.scandir(root))
    except OSError:
        return
    for entry in entries:
        found = _NAME.fullmatch(entry.name)
        if found is None or found["here"] != here or found["born"] == "0":
            continue
        try:
            own = entry.is_dir(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_uid == os.geteuid()
        except OSError:
            continue
        if own and _born(int(found["pid"])) != int(found["born"]):
            yield Path(entry.path)


def _used() -> set[str]:
    """Temporary folders of processes that live: what a worker started may have outlived it and its llem."""
    import psutil

    found: set[str] = set()
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # another user's, or it has ended
            found.add(process.environ().get("TMPDIR", ""))
    return found


def _here() -> str:
    """This boot and this namespace of processes, in short: in another one the same number is another process."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        space = os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - it leads to no path
    except OSError:
        return "0" * 12
    return hashlib.sha256(f"{boot} {space}".encode()).hexdigest()[:12]


def _born(pid: int) -> int | None:
    """Start of a process, in clock ticks since boot; None where there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[19])
