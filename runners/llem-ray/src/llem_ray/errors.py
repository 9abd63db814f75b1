"""Errors of Ray, each with what to do."""

from __future__ import annotations

from llem.plugin_api import LlemError


class ClusterError(LlemError):
    """Ray is missing, does not answer, or does not fit."""

    topic = "ray"


class RayMissing(ClusterError):  # noqa: N818 - the type of a failure, as it stands in a result
    """Ray cannot be imported here."""


class ClusterUnreachable(ClusterError):  # noqa: N818
    """No cluster answers at the address."""


class VersionMismatch(ClusterError):  # noqa: N818
    """Ray or Python here are not those of the cluster."""


class ClusterLost(ClusterError):  # noqa: N818
    """The connection to the cluster broke."""


KINDS = {kind.__name__: kind for kind in (RayMissing, ClusterUnreachable, VersionMismatch, ClusterLost)}
"""By the name that crosses from the process that speaks to Ray."""


def cluster_error(document: dict[str, str | None]) -> ClusterError:
    """The error that `told` put into plain data."""
    kind = KINDS.get(str(document.get("kind")), ClusterError)
    return kind(str(document.get("what")), where=document.get("where"), remedy=document.get("remedy"))


def told(error: LlemError) -> dict[str, str | None]:
    """An error as plain data."""
    return {"kind": type(error).__name__, "what": error.what, "where": error.where, "remedy": error.remedy}
