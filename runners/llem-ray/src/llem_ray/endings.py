"""Ray's word on an attempt that did not end by itself: lost with its node, or ended for a reason of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from llem.plugin_api import Exit

NODE_FAILED = "NodeFailed"
PROCESS_DIED = "RayWorkerDied"
OUT_OF_MEMORY = "OutOfMemory"
NO_NODE = "NoNode"
_LONGEST = 600
_NODE_ID = re.compile(r"\b[0-9a-f]{56}\b")


@dataclass(frozen=True)
class Lost:
    """An attempt that ended with what carried it, and may be made anew.

    Attributes:
        kind: `NodeFailed` or `RayWorkerDied`.
        what: a clause for messages, without a full stop.
        node_id: of the node, where Ray names it.
    """

    kind: str
    what: str
    node_id: str | None = None


def ending_of(error: BaseException, node: str | None, names: Mapping[str, str]) -> Lost | Exit:
    """Tell apart what Ray raises for a task.

    Args:
        error: from waiting for the task.
        node: name of the node that it ran on, None where it had not started.
        names: of all nodes by id.
    """
    from ray import exceptions as ray

    where = f"the node {node}" if node else "the node that it was sent to"
    text = str(error)
    if isinstance(error, ray.OutOfMemoryError):
        cause = f"Ray's memory monitor ended it because {where} ran out of memory: {_short(text)}"
        return Exit(cause=cause, error=OUT_OF_MEMORY, node=node)
    if isinstance(error, ray.NodeDiedError | ray.LocalRayletDiedError | ray.TaskUnschedulableError):
        found = _NODE_ID.search(text)
        node_id = found.group() if found else None
        if node is None and node_id is not None and node_id in names:
            where = f"the node {names[node_id]}"
        return Lost(NODE_FAILED, f"{where} died", node_id)
    if isinstance(error, ray.ObjectLostError):
        return Lost(NODE_FAILED, f"{where} died before its results were fetched")
    if isinstance(error, ray.WorkerCrashedError):
        return Lost(PROCESS_DIED, f"Ray's process for it on {where} was killed, while the node lives")
    if isinstance(error, ray.TaskCancelledError):
        return Exit(cause="it was cancelled before it started" if node is None else "it was cancelled", node=node)
    if isinstance(error, ray.RuntimeEnvSetupError):
        return Exit(
            cause=f"the runtime environment could not be made: {_short(text)}", error="RuntimeEnvFailed", node=node
        )
    if isinstance(error, ray.RayTaskError):
        inner = error.cause if isinstance(error.cause, BaseException) else error
        return Exit(cause=f"{where} could not run it: {type(inner).__name__}: {_short(str(inner))}", node=node)
    return Exit(cause=f"Ray ended it: {type(error).__name__}: {_short(text)}", error=type(error).__name__, node=node)


def _short(text: str) -> str:
    return " ".join(text.split())[:_LONGEST].rstrip(". ")
