"""Jobs that an earlier llem left in the queue of a study to be resumed: cancelled, so that nothing runs twice."""

from __future__ import annotations

import time
from pathlib import Path

from llem.plugin_api import LlemError
from llem_slurm.commands import cancel, is_here, run
from llem_slurm.queue import Place, read_queue
from llem_slurm.submission import queue_command, token_of

_GONE_S = 300.0
_LOOK_S = 1.0


def reclaim(study_dir: Path) -> list[str]:
    """Cancel every job of this study and wait until none is left, whether it waited or ran.

    Raises:
        LlemError: Slurm does not answer, or a job does not go away.
    """
    token = token_of(study_dir, make=False)
    if token is None:
        return []
    if not is_here("squeue"):
        raise LlemError(
            "this study has run on a Slurm cluster, and Slurm's commands are not here, so that nobody can tell whether its "
            "jobs still run.",
            where=str(study_dir),
            remedy="Resume it where they are, such as on the cluster's login node.",
        )
    left = _left(token)
    if not left:
        return []
    names = [f"{number}_{index}" for number, index in left]
    cancel(names)
    end = time.monotonic() + _GONE_S
    while left and time.monotonic() < end:
        time.sleep(_LOOK_S)
        left = _left(token)
    if left:
        shown = " ".join(f"{number}_{index}" for number, index in left[:20])
        raise LlemError(
            f"{len(left)} job(s) of this study are still in the queue after {_GONE_S:g} s.",
            where=str(study_dir),
            remedy=f"End them: scancel --signal=KILL --full {shown}. Then resume again.",
        )
    shown = ", ".join(names[:5]) + ("…" if len(names) > 5 else "")
    return [f"{len(names)} job(s) that an earlier llem had left in Slurm's queue were cancelled: {shown}."]


def _left(token: str) -> list[Place]:
    queue = read_queue(run(queue_command(None)))
    return [place for place, seen in queue.items() if seen.comment.startswith(f"{token}/") and not seen.is_over]
