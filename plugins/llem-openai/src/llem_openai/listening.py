"""Ports of this machine: which are free, and who listens on one."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Collection
from pathlib import Path

_PROC = Path("/proc")
_LISTENING = "0A"


def is_free(port: int) -> bool:
    """True where nobody listens on a port of this machine."""
    for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        with contextlib.suppress(OSError), socket.socket(family) as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                one.bind((host, port))
            except OSError:
                return False
    return True


def free_port() -> int:
    """A port of this machine that nobody listens on, as the kernel chooses one."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    return port


def anybody_listens(port: int, proc: Path = _PROC) -> bool:
    """Tell whether any process of this machine, or of this container, listens on a port."""
    return bool(_sockets(proc, port))


def listeners(pids: Collection[int], port: int, proc: Path = _PROC) -> set[int] | None:
    """Those of these processes that listen on a port; None where none is seen to, and others may.

    Args:
        pids: a server's processes.
        port: of TCP.
        proc: where the kernel's figures stand.
    """
    sockets, is_whole, found = _sockets(proc, port), True, set[int]()
    for pid in pids:
        try:
            if (proc / str(pid) / "ns" / "net").readlink() != (proc / "self" / "ns" / "net").readlink():
                return None  # in a container: its ports are forwarded by somebody else
            entries = list((proc / str(pid) / "fd").iterdir())
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended
        except OSError:
            is_whole = False  # another user's
            continue
        for entry in entries:
            with contextlib.suppress(OSError):  # closed meanwhile
                if str(entry.readlink()) in sockets:
                    found.add(pid)
                    break
    return found if found or (is_whole and proc.is_dir()) else None


def _sockets(proc: Path, port: int) -> set[str]:
    """Sockets that listen on a port, as links of /proc name them."""
    found: set[str] = set()
    for table in ("tcp", "tcp6"):
        try:
            _, *lines = (proc / "self" / "net" / table).read_text(encoding="ascii").splitlines()
        except OSError:
            continue  # a kernel without IPv6
        for line in lines:
            words = line.split()
            if len(words) > 9 and words[3] == _LISTENING and int(words[1].rpartition(":")[2], 16) == port:
                found.add(f"socket:[{words[9]}]")
    return found
