"""Which commit a study file belongs to."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class GitCommit:
    """The state of the repository that holds a file.

    Attributes:
        commit: hash of the commit that is checked out.
        dirty: whether the file differs from that commit, or is not part of it.
    """

    commit: str
    dirty: bool


def commit_of(path: Path) -> GitCommit | None:
    """The commit that a file stands at, or None: outside a repository, before its first commit, without git, or too slow."""
    folder = path.resolve().parent
    commit = _git(folder, "rev-parse", "--verify", "--quiet", "HEAD")
    if not commit:
        return None
    status = _git(folder, "status", "--porcelain", "--ignored", "--", f":(literal){path.resolve().name}")
    return None if status is None else GitCommit(commit, bool(status))


def _git(folder: Path, *arguments: str) -> str | None:
    # Optional locks off: reading must not disturb a git command that runs at the same time.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")} | {
        "GIT_OPTIONAL_LOCKS": "0",
        "LC_ALL": "C",
    }
    try:
        answer = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=_TIMEOUT_S,
            env=environment,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None
