"""Answers of squeue and sacct on jobs. Pure functions over their text."""

from __future__ import annotations

import pwd
import re
from collections.abc import Mapping
from dataclasses import dataclass

QUEUE_FORMAT = "%F|%K|%T|%N|%k|%r"
"""Array's job, index, state, nodes, comment, reason: the last may hold anything but a line's end."""

ACCOUNT_FORMAT = "JobID%40,State%40,ExitCode,NodeList%200,Timelimit,Reason%200"

ENDED = frozenset(
    {
        "BOOT_FAIL",
        "CANCELLED",
        "COMPLETED",
        "DEADLINE",
        "FAILED",
        "NODE_FAIL",
        "OUT_OF_MEMORY",
        "PREEMPTED",
        "REVOKED",
        "TIMEOUT",
    }
)
"""States after which a job does not run any more, unless it is put back into the queue."""

WAITING = frozenset(
    {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"}
)

HOPELESS = (
    "BadConstraints",
    "PartitionNodeLimit",
    "PartitionTimeLimit",
    "InvalidAccount",
    "InvalidQOS",
    "JobHeldAdmin",
    "JobHoldMaxRequeue",
    "launch failed requeued held",
)
"""Reasons for which a waiting job will wait for ever, unless somebody changes the site or the job."""

Place = tuple[str, int]
"""A job: number of its array, and index in it."""


@dataclass(frozen=True)
class Seen:
    """A job as Slurm told of it.

    Attributes:
        state: such as `PENDING`.
        by: who cancelled it, where Slurm said.
        node: where it runs or ran, or None.
        exit_code: `CODE:SIGNAL`, or None.
        time_limit: as Slurm writes it, or None.
    """

    state: str
    reason: str = ""
    node: str | None = None
    comment: str = ""
    by: str | None = None
    exit_code: str | None = None
    time_limit: str | None = None

    @property
    def is_over(self) -> bool:
        return self.state in ENDED

    @property
    def waits(self) -> bool:
        return self.state in WAITING


def read_queue(text: str) -> Mapping[Place, Seen]:
    """The lines of `squeue --array --format=QUEUE_FORMAT`, by job; those of no array are left out."""
    found: dict[Place, Seen] = {}
    for line in text.splitlines():
        parts = line.split("|", 5)
        if len(parts) == 6 and parts[1].isdigit():
            job, index, state, node, comment, reason = (part.strip() for part in parts)
            found[job, int(index)] = Seen(state, reason, node or None, comment)
    return found


def read_accounts(text: str) -> Mapping[Place, Seen]:
    """The lines of `sacct --parsable2 --format=ACCOUNT_FORMAT`, by job; of a job that began anew the last one counts."""
    found: dict[Place, Seen] = {}
    for line in text.splitlines():
        parts = line.split("|", 5)
        job = re.fullmatch(r"(\d+)_(\d+)", parts[0])
        if len(parts) < 6 or job is None:
            continue
        state, _, rest = parts[1].partition(" ")
        by = re.fullmatch(r"by (\d+)", rest)
        node = parts[3] if parts[3] not in ("", "None assigned") else None
        found[job[1], int(job[2])] = Seen(
            state, parts[5], node, by=_user(int(by[1])) if by else None, exit_code=parts[2], time_limit=parts[4]
        )
    return found


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"
