"""A process of another environment."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

LONGEST_S = 300
"""A run of a tool that takes longer hangs."""


def alone(*, offline: bool = True) -> dict[str, str]:
    """Variables for it: nothing of this environment, and no model hub."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return {**kept, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"} if offline else kept


class ToolFailedError(Exception):
    """A tool did not do what it was asked for."""


def call(command: Sequence[str | Path], folder: Path, *, offline: bool = True) -> str:
    """Run a tool to its end, in this folder, and return what it printed.

    Raises:
        ToolFailedError: it fails, or does not end.
    """
    try:
        done = subprocess.run(
            [str(word) for word in command],
            cwd=folder,
            env=alone(offline=offline),
            capture_output=True,
            text=True,
            check=False,
            timeout=LONGEST_S,
        )
    except subprocess.TimeoutExpired as error:
        raise ToolFailedError(f"not over after {LONGEST_S} s") from error
    if done.returncode:
        raise ToolFailedError(
            f"exit code {done.returncode}: {done.stderr.strip()[-500:] or done.stdout.strip()[-500:]}"
        )
    return done.stdout
