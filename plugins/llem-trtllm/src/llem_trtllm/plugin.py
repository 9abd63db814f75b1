"""Registrations of llem-trtllm. Importing this imports neither torch nor tensorrt_llm."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence

from llem.plugin_api import API_VERSION, BackendSpec, CheckSpec, hookimpl
from llem_trtllm.config import TrtllmConfig, batch_size, gpus, resolve

IMAGE = f"ghcr.io/llenergymeasure/trtllm:{importlib.metadata.version('llem-trtllm')}"


@hookimpl
def llem_backends() -> Sequence[BackendSpec]:
    """The backend `trtllm`."""
    return [
        BackendSpec(
            name="trtllm",
            api_version=API_VERSION,
            summary="TensorRT-LLM: NVIDIA's kernels and scheduler, on PyTorch or in engines that TensorRT builds",
            config=TrtllmConfig,
            engine="llem_trtllm.engine:TrtllmEngine",
            capabilities=frozenset({"gpu", "streaming", "batching", "chat", "multi_gpu", "concurrent"}),
            requires=("tensorrt_llm",),
            install="pip install 'llem-trtllm[engine]'",
            image=f"{IMAGE}-cuda13",
            # It pins its torch and its transformers, as the others do theirs.
            conflicts=frozenset({"pytorch", "vllm", "sglang"}),
            resolve=resolve,
            batch_size=batch_size,
            gpus=gpus,
            # Its import starts MPI, and its workers are processes of their own.
            warm_start=False,
            worth_varying={
                "max_batch_size": (4, 16, 64),
                "engine": ("pytorch", "tensorrt"),
                "enable_chunked_prefill": (False, True),
                "disable_overlap_scheduler": (False, True),
                "dtype": ("float16", "bfloat16"),
            },
        )
    ]


@hookimpl
def llem_preflight_checks() -> Sequence[CheckSpec]:
    """Checks that what the section `trtllm:` asks for can work here."""
    return [
        CheckSpec(
            name="trtllm-options",
            api_version=API_VERSION,
            summary="options of trtllm fit together, and the rest of the experiment",
            check="llem_trtllm.preflight:check_options",
            backends=frozenset({"trtllm"}),
        ),
        CheckSpec(
            name="trtllm-version",
            api_version=API_VERSION,
            summary="the TensorRT-LLM of this environment is one that llem-trtllm knows",
            check="llem_trtllm.preflight:check_version",
            backends=frozenset({"trtllm"}),
            runners=frozenset({"local"}),
        ),
    ]
