"""Processes that the kernel ended for want of memory, by its counters before a worker starts and after it ended."""

from __future__ import annotations

from pathlib import Path


def oom_kills() -> int | None:
    """Processes of this process's control group that the out-of-memory killer has ended so far; None where nobody counts.

    Control groups of version 2 count in `memory.events`, of version 1 in `memory.oom_control`; without either it is
    the whole system's count in `/proc/vmstat`.
    """
    for path in _candidates():
        try:
            lines = path.read_text(encoding="ascii").splitlines()
        except (OSError, UnicodeDecodeError):
            continue
        for line in lines:
            key, _, value = line.partition(" ")
            if key == "oom_kill" and value.isdigit():
                return int(value)
    return None


def _candidates() -> list[Path]:
    found: list[Path] = []
    try:
        groups = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        groups = []
    root = Path("/sys/fs/cgroup")
    for line in groups:
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            mount, name = root / "memory", "memory.oom_control"
        elif controllers == "":
            mount, name = root, "memory.events"
        else:
            continue
        # Inside a container the group's own path may not be visible; there the mount itself is the container's group.
        found += [mount / path.lstrip("/") / name, mount / name]
    return [*found, Path("/proc/vmstat")]
