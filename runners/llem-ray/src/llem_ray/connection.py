"""Joins a Ray cluster as a driver. The only place that calls `ray.init`."""

from __future__ import annotations

import os
import re
import socket
from contextlib import closing
from typing import Any

from llem_ray.errors import ClusterUnreachable, RayMissing, VersionMismatch

_CONNECT_S = 5.0
_VERSIONS = re.compile(r"Ray: (\S+)\s+Python: (\S+)")


def join(address: str) -> Any:
    """Connect to the cluster and return the module `ray`.

    Raises:
        RayMissing: it cannot be imported here.
        ClusterUnreachable: nothing answers at the address, or this machine is no part of the cluster.
        VersionMismatch: Ray or Python is another one there.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray = _import()
    at = os.environ.get("RAY_ADDRESS", address) if address == "auto" else address
    _refuse_dead(at)
    try:
        ray.init(address=at, log_to_driver=False, configure_logging=False, namespace="llem")
    except RuntimeError as error:
        if "ersion mismatch" not in str(error):
            raise _unreachable(at, error) from error
        raise _mismatch(at, str(error)) from error
    except (OSError, ValueError, AssertionError) as error:
        raise _unreachable(at, error) from error
    return ray


def _import() -> Any:
    try:
        import ray
    except ModuleNotFoundError as error:
        raise RayMissing(f"{error.name} is not installed here.", remedy="pip install llem-ray.") from error
    except Exception as error:
        remedy = "Run `python -c 'import ray'` to see why."
        if "amd_smi" in str(error):
            remedy = "The package amdsmi is here without ROCm's library: pip uninstall amdsmi, also on the nodes."
        raise RayMissing(f"Ray cannot be imported here: {type(error).__name__}: {error}.", remedy=remedy) from error
    return ray


def _refuse_dead(address: str) -> None:
    """Ray itself tries for minutes, and may end the process when nobody answers."""
    if "://" in address:
        raise ClusterUnreachable(
            "a cluster cannot be used through Ray's client.",
            where=address,
            remedy="Start llem on a machine of the cluster, such as its head, and give HOST:PORT of the head (port 6379), "
            "or leave the address at auto.",
        )
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        return  # `auto`, or Ray's to refuse
    try:
        with closing(socket.create_connection((host, int(port)), timeout=_CONNECT_S)):
            return
    except (OSError, OverflowError) as error:
        raise _unreachable(address, error) from error


def _unreachable(address: str, error: Exception) -> ClusterUnreachable:
    why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return ClusterUnreachable(
        f"no Ray cluster can be reached: {why.rstrip('.')}.",
        where=address,
        remedy="Start one (`ray start --head` here, `ray start --address=HOST:6379` on the others), or name the one that "
        "runs: runner_options: {ray: {address: HOST:6379}}. llem has to run on a machine of the cluster.",
    )


def _mismatch(address: str, text: str) -> VersionMismatch:
    found = _VERSIONS.findall(text)
    said = "the cluster's versions differ from those here"
    if len(found) == 2:
        (ray_there, python_there), (ray_here, python_here) = found
        said = f"the cluster runs Ray {ray_there} on Python {python_there}, and here is Ray {ray_here} on Python {python_here}"
    return VersionMismatch(
        f"{said}.", where=address, remedy="Start llem from an environment with the cluster's versions of both."
    )
