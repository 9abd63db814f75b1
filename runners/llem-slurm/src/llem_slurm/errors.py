"""Errors of Slurm before an experiment runs, and the types of failures that only a cluster knows."""

from __future__ import annotations

from llem.plugin_api import LlemError, PreflightError

OUT_OF_MEMORY = "OutOfMemory"
TIME_LIMIT = "SlurmTimeLimit"
NODE_FAILED = "NodeFailed"
PREEMPTED = "Preempted"
CANCELLED = "Cancelled"
NEVER_SCHEDULED = "NeverScheduled"
SUBMIT_REFUSED = "SubmitRefused"
NOT_STARTED = "NotStarted"
LOST = "Lost"


class SlurmMissing(PreflightError):  # noqa: N818
    """The commands of Slurm are not here."""

    topic = "slurm"


class SlurmUnreachable(LlemError):  # noqa: N818
    """The controller, or what the command asks, does not answer. What was asked may have happened all the same."""

    topic = "slurm"


class SlurmRefused(LlemError):  # noqa: N818
    """Slurm answered, and said no."""

    topic = "slurm"
