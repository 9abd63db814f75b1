"""The variables that a worker in a container gets."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping

from llem.plugin_api import EXPERIMENT, tells_a_secret
from llem_containers.exchange import LIFELINE
from llem_containers.mounts import HOME, HUB, JOB, PACKAGES, TMP, TOKEN, Places

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


def variables(
    environ: Mapping[str, str],
    *,
    places: Places,
    online: bool,
    job_id: str,
    token: bool,
    gpus: bool,
    python_path: str | None,
    more: Mapping[str, str],
) -> dict[str, str]:
    """The variables inside.

    Args:
        environ: those of this machine.
        places: what of this machine the container sees.
        online: it has a network.
        job_id: marks all that it starts.
        token: the hub's token is mounted.
        gpus: it has NVIDIA GPUs.
        python_path: PYTHONPATH of the image, or None.
        more: over everything else.
    """
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
        LLEM_JOB_ID=job_id,
        LLEM_NODE=environ.get("LLEM_NODE") or platform.node(),  # the container's own host name tells nothing
        LLEM_LIFELINE=f"{JOB}/{LIFELINE}",
    )
    if not online or not places.fetches:
        found["HF_HUB_OFFLINE"] = "1"
    elif environ.get("HF_ENDPOINT"):
        found["HF_ENDPOINT"] = environ["HF_ENDPOINT"]
    if token:
        found["HF_TOKEN_PATH"] = TOKEN
    if places.packages:
        found["PYTHONPATH"] = os.pathsep.join(filter(None, [PACKAGES, python_path]))
    if gpus:
        found["NVIDIA_DRIVER_CAPABILITIES"] = "compute,utility"
    return {**found, **more}


def passed_on(environ: Mapping[str, str]) -> dict[str, str]:
    """This machine's variables that go inside: settings of engines and libraries, no secrets, no paths of this machine."""
    return {
        name: value
        for name, value in environ.items()
        if name.startswith(_PASSED) and not tells_a_secret(name) and not value.startswith(("/", "~"))
    }
