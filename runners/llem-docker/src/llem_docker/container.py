"""The settings that a container is created with, as the docker SDK takes them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from docker.types import DeviceRequest, LogConfig, Mount, Ulimit

from llem_containers.mounts import HUB, JOB, SCRATCH, TOKEN, Places
from llem_containers.variables import variables
from llem_docker.daemon import Image
from llem_docker.options import DockerOptions

WORKER = ("python3", "-m", "llem.worker")
"""The command that runs inside: the worker, which calls `ExperimentOrchestrator` as a library."""

EXCHANGE = "container"
"""The folder in a job directory that a container sees; gone when it has ended."""

STOP_SIGNAL = "SIGTERM"


@dataclass(frozen=True, kw_only=True)
class Inside:
    """The inside of an experiment's container.

    Attributes:
        job: the exchange folder here; scratch: its temporary folder here.
        gpus: UUIDs.
        token: the file that holds the hub's token, or None.
        user: `UID:GID` as which it runs.
        job_id: marks all that it starts.
        labels: on the container.
        network: the Docker network, or `none`.
        variables: over everything else.
    """

    image: Image
    job: Path
    scratch: Path
    places: Places
    options: DockerOptions
    user: str
    network: str
    labels: Mapping[str, str] = field(default_factory=dict)
    gpus: Sequence[str] = ()
    token: Path | None = None
    job_id: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)


def creation(inside: Inside, environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """The options of `containers.create` for an experiment."""
    return {
        "entrypoint": list(WORKER),
        "command": [JOB],
        "environment": variables(
            environ,
            places=inside.places,
            online=inside.network != "none",
            job_id=inside.job_id,
            token=inside.token is not None,
            gpus=bool(inside.gpus),
            python_path=inside.image.environment.get("PYTHONPATH"),
            more=inside.variables,
        ),
        "labels": dict(inside.labels),
        "mounts": _mounts(inside),
        "network_mode": inside.network,
        "user": inside.user,
        "use_config_proxy": inside.network != "none",
        "working_dir": SCRATCH,
        **confinement(inside.options, inside.gpus),
    }


def confinement(options: DockerOptions, gpus: Sequence[str]) -> dict[str, Any]:
    """The limits of a container: rights, memory, processes. No log is kept by the engine: llem reads it as it comes."""
    return {
        "init": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "privileged": False,
        # An engine's processes share memory among themselves, in their own space and of this size; the host's is not theirs.
        "ipc_mode": "private",
        "shm_size": options.shm_bytes,
        "mem_limit": options.memory_bytes,
        "memswap_limit": options.memory_bytes,
        "nano_cpus": round(options.cpus * 1e9) if options.cpus else None,
        "pids_limit": options.pids,
        "ulimits": [
            Ulimit(name="core", soft=0, hard=0),
            Ulimit(name="fsize", soft=options.output_bytes, hard=options.output_bytes),
        ],
        "device_requests": [DeviceRequest(device_ids=list(gpus), capabilities=[["gpu"]])] if gpus else None,
        "log_config": LogConfig(type="none"),
        "stop_signal": STOP_SIGNAL,
        "detach": True,
    }


def _mounts(inside: Inside) -> list[Mount]:
    places = inside.places
    mounts = [
        Mount(JOB, str(inside.job), type="bind"),
        Mount(SCRATCH, str(inside.scratch), type="bind"),
        *(Mount(place, None, type="tmpfs", tmpfs_size=2**20) for place in dict.fromkeys(places.empty)),
        *(Mount(there, here, type="bind", read_only=True) for here, there in places.read_only.items()),
    ]
    if places.hub is not None:
        mounts.append(Mount(HUB, str(places.hub), type="bind", read_only=not places.fetches))
    if inside.token is not None:
        mounts.append(Mount(TOKEN, str(inside.token), type="bind", read_only=True))
    return mounts
