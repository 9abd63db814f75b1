"""The settings that a container is created with, as the docker SDK takes them."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from docker.types import DeviceRequest, LogConfig, Mount, Ulimit

from llem.plugin_api import EXPERIMENT, tells_a_secret
from llem_docker.daemon import Image
from llem_docker.mounts import HOME, HUB, JOB, PACKAGES, SCRATCH, TMP, TOKEN, Places
from llem_docker.options import DockerOptions

WORKER = ("python3", "-m", "llem.worker")
"""The command that runs inside: the worker, which calls `ExperimentOrchestrator` as a library."""

STOP_SIGNAL = "SIGTERM"
LIFELINE = "lifeline"
"""A pipe in the exchange folder; see `llem.worker`."""

_PASSED = (
    "CUDA_DEVICE_ORDER",
    "CUDA_LAUNCH_BLOCKING",
    "CUDA_MODULE_LOADING",
    "GOMP_",
    "HF_HUB_ENABLE_HF_TRANSFER",
    "KMP_",
    "MALLOC_",
    "MKL_",
    "NCCL_",
    "NVIDIA_TF32_OVERRIDE",
    "OMP_",
    "OPENBLAS_",
    "PYTHONHASHSEED",
    "PYTORCH_",
    "SGLANG_",
    "TOKENIZERS_",
    "TORCHDYNAMO_",
    "TORCHINDUCTOR_",
    "TORCH_",
    "TRTLLM_",
    "VLLM_",
)
"""Variables of this machine that change how an engine runs; they go inside. Others say where things are here."""


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
        "environment": _environment(inside, environ),
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


def _environment(inside: Inside, environ: Mapping[str, str]) -> dict[str, str]:
    found = passed_on(environ)
    found.update(
        HOME=HOME,
        TMPDIR=TMP,
        TEMP=TMP,
        TMP=TMP,
        USER="llem",  # the user id need not be known inside
        LOGNAME="llem",
        PYTHONUNBUFFERED="1",
        PYTHONFAULTHANDLER="1",
        DO_NOT_TRACK="1",
        HF_HUB_DISABLE_TELEMETRY="1",
        HF_HUB_CACHE=HUB,
        LLEM_CONFIG_PATH=f"{JOB}/{EXPERIMENT}",
        LLEM_JOB_ID=inside.job_id,
        LLEM_NODE=environ.get("LLEM_NODE") or platform.node(),  # the container's own host name tells nothing
        LLEM_LIFELINE=f"{JOB}/{LIFELINE}",
    )
    if inside.network == "none" or not inside.places.fetches:
        found["HF_HUB_OFFLINE"] = "1"
    elif environ.get("HF_ENDPOINT"):
        found["HF_ENDPOINT"] = environ["HF_ENDPOINT"]
    if inside.token is not None:
        found["HF_TOKEN_PATH"] = TOKEN
    if inside.places.packages:
        found["PYTHONPATH"] = os.pathsep.join(filter(None, [PACKAGES, inside.image.environment.get("PYTHONPATH")]))
    if inside.gpus:
        found["NVIDIA_DRIVER_CAPABILITIES"] = "compute,utility"
    return {**found, **inside.variables}


def passed_on(environ: Mapping[str, str]) -> dict[str, str]:
    """This machine's variables that go inside: settings of engines and libraries, no secrets, no paths of this machine."""
    return {
        name: value
        for name, value in environ.items()
        if name.startswith(_PASSED) and not tells_a_secret(name) and not value.startswith(("/", "~"))
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
