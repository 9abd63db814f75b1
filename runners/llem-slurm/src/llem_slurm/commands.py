"""Slurm's own commands, run one at a time with a limit; what they say on failure becomes one sentence."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from llem_slurm.errors import SlurmMissing, SlurmRefused, SlurmUnreachable

_KEPT = ("SLURM_CONF", "SLURM_JWT", "SLURM_CLUSTERS")
_AWAY = (
    "unable to contact slurm controller",
    "socket timed out",
    "connection refused",
    "connection timed out",
    "unexpected message received",
    "slurm backup controller in standby mode",
    "zero bytes were transmitted",
    "failed to open persistent connection",
    "resource temporarily unavailable",
    "communication connection failure",
)
_AT_ONCE = 500
"""Jobs named in one command."""

INSTALL = "Run llem where sbatch works, such as the cluster's login node; Debian and Ubuntu: sudo apt-get install slurm-client."


def environment(inherited: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables that commands and jobs get: llem's own, without those of a job that llem itself runs in.

    An sbatch inside a job would take that job's memory, CPUs and binding for what it is asked for.
    """
    kept = {name: value for name, value in inherited.items() if not name.startswith("SLURM_") or name in _KEPT}
    return {**kept, "SLURM_TIME_FORMAT": "standard"}


def run(command: Sequence[str], *, timeout_s: float = 120.0) -> str:
    """The output of a command.

    Raises:
        SlurmMissing: it is not installed.
        SlurmUnreachable: it did not end in time, or the controller does not answer.
        SlurmRefused: it ended with another error; the text says which.
    """
    name = command[0]
    try:
        done = subprocess.run(
            command,
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
            start_new_session=True,  # the terminal's Ctrl+C ends no command halfway
        )
    except FileNotFoundError as error:
        raise SlurmMissing(f"Slurm's command {name} is not on this machine.", remedy=INSTALL) from error
    except subprocess.TimeoutExpired as error:
        raise SlurmUnreachable(
            f"{name} did not answer within {timeout_s:g} s.", remedy="Look: scontrol ping."
        ) from error
    except OSError as error:
        raise SlurmUnreachable(f"{name} cannot be run: {error}.") from error
    if done.returncode == 0:
        return done.stdout
    text = said(done.stderr or done.stdout, name)
    if any(sign in text.lower() for sign in _AWAY):
        raise SlurmUnreachable(
            f"Slurm does not answer: {text}", remedy="Look: scontrol ping. Then ask the site's admins."
        )
    raise SlurmRefused(f"{name}: {text}")


def cancel(jobs: Sequence[str], *how: str) -> None:
    """Cancel jobs of these numbers, or signal them; those that have ended meanwhile are passed over.

    Raises:
        LlemError: Slurm is not here, or does not answer.
    """
    for names in in_parts(jobs):
        with suppress(SlurmRefused):  # some have ended: the queue tells which
            run(["scancel", *how, *names])


def in_parts(names: Sequence[str]) -> Iterator[Sequence[str]]:
    """As many at a time as one command names."""
    return (names[begin : begin + _AT_ONCE] for begin in range(0, len(names), _AT_ONCE))


def said(text: str, name: str) -> str:
    """An error message of a command on one line, without its own name, at most 400 characters."""
    lines = [re.sub(rf"^{re.escape(name)}: (error: |fatal: )?", "", line).strip() for line in text.splitlines()]
    joined = "; ".join(dict.fromkeys(line for line in lines if line)) or "it failed and said nothing"
    joined = joined if len(joined) <= 400 else f"{joined[:400]}…"
    return joined if joined.endswith((".", "!", "?", "…")) else f"{joined}."


def is_here(name: str = "sbatch") -> bool:
    """Tell whether a command is on the PATH."""
    return shutil.which(name) is not None


def user() -> str:
    """Whose jobs they are."""
    return pwd.getpwuid(os.geteuid()).pw_name
