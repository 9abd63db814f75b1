"""The end of a job that left no record, in words: what Slurm knows, turned into an `Exit`."""

from __future__ import annotations

from llem.plugin_api import Exit
from llem_slurm import errors
from llem_slurm.queue import Seen


def ending_of(seen: Seen, said: str) -> Exit:
    """The exit that Slurm's account of a job means.

    Args:
        seen: its last state.
        said: the last line of what the node's side printed; empty where there is none.
    """
    where = f" on {seen.node}" if seen.node else ""
    limit = f" of {seen.time_limit}" if seen.time_limit else ""
    tail = f"; its log ends with: {said}" if said else ""
    node = f"the node {seen.node}" if seen.node else "its node"
    unknown = (
        f"its job ended{where} ({seen.state}{_code(seen.exit_code)}) and llem's side of the node left no word: the shared "
        f"folder, Python or llem may be missing there, or a prolog failed{tail}"
    )
    memory = f"out of memory: the job{where} reached its limit (runner_options.slurm.mem), and was ended"
    cause, error = {
        "OUT_OF_MEMORY": (memory, errors.OUT_OF_MEMORY),
        "TIMEOUT": (f"Slurm ended it at its time limit{limit} (runner_options.slurm.time)", errors.TIME_LIMIT),
        "DEADLINE": ("Slurm ended it at its deadline", errors.TIME_LIMIT),
        "NODE_FAIL": (f"{node} failed, and the job was not begun anew", errors.NODE_FAILED),
        "BOOT_FAIL": (f"{node} did not boot", errors.NODE_FAILED),
        "PREEMPTED": (f"a job of higher priority took its place{where}, and it was not begun anew", errors.PREEMPTED),
        "CANCELLED": (f"its job was cancelled (scancel) by {seen.by or 'somebody'}", errors.CANCELLED),
    }.get(seen.state, (unknown, errors.NOT_STARTED))
    return Exit(cause=cause, error=error, node=seen.node)


def _code(text: str | None) -> str:
    code, _, number = (text or "").partition(":")
    if number.isdigit() and int(number):
        return f", signal {number}"
    return f", exit code {code}" if code.isdigit() and int(code) else ""


def hopeless(seen: Seen) -> Exit:
    """The exit of a job that would wait for ever."""
    return Exit(
        cause=f"Slurm would never start it: {seen.reason}. Compare what it asks for (runner_options.slurm) with "
        "`scontrol show partition` and `sinfo -N -l`",
        error=errors.NEVER_SCHEDULED,
    )


def lost() -> Exit:
    """The exit of a job that Slurm has forgotten and that left no record."""
    return Exit(
        cause="Slurm has forgotten its job (MinJobAge is over and accounting does not tell), and it left no record in the "
        "shared folder",
        error=errors.LOST,
    )
