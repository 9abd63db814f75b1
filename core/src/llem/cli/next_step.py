"""The next step with a study that is not finished, as a command to type."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path


def next_step(folder: Path, state: str | None, counts: Mapping[str, int]) -> str | None:
    """The command that goes on with a study; None where there is nothing to go on with.

    Args:
        state: as its manifest tells, or `broken off` where no llem works on a running one any more; None where the manifest is lost.
        counts: its experiments by state.
    """
    command = f"llem resume {shlex.quote(str(folder))}"
    if state == "running":
        return None
    if state == "complete":
        return f"{command} --retry-failed" if counts.get("failed") else None
    return command
