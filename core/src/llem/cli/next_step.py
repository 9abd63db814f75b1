"""How a study that is not finished goes on, as a command to type."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path


def state_of(folder: Path, state: str) -> str:
    """The state that a manifest tells, or `broken off` where it says running and no llem works on the study any more."""
    from llem.study.lock import is_held

    return "broken off" if state == "running" and not is_held(folder) else state


def next_step(folder: Path, state: str | None, counts: Mapping[str, int]) -> str | None:
    """The command that goes on with a study; None where there is nothing to go on with.

    Args:
        state: as `state_of` gives it; None where the manifest that would tell is lost.
        counts: its experiments by state.
    """
    command = f"llem resume {shlex.quote(str(folder))}"
    if state == "running":
        return None
    if state == "complete":
        return f"{command} --retry-failed" if counts.get("failed") else None
    return command
