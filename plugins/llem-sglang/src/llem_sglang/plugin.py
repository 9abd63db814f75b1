"""Registrations of llem-sglang. Importing this imports neither torch nor sglang."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence

from llem.plugin_api import API_VERSION, BackendSpec, CheckSpec, hookimpl
from llem_sglang.config import SglangConfig, batch_size, gpus, resolve

_VERSION = importlib.metadata.version("llem-sglang")


@hookimpl
def llem_backends() -> Sequence[BackendSpec]:
    """The backend `sglang`."""
    return [
        BackendSpec(
            name="sglang",
            api_version=API_VERSION,
            summary="SGLang: continuous batching with a radix cache of prompts, on NVIDIA and AMD GPUs",
            config=SglangConfig,
            engine="llem_sglang.engine:SglangEngine",
            capabilities=frozenset({"cpu", "gpu", "streaming", "batching", "chat", "multi_gpu", "concurrent"}),
            requires=("sglang",),
            install="pip install 'llem-sglang[engine]'",
            image=f"ghcr.io/llenergymeasure/sglang:{_VERSION}-cuda13",
            # Nobody publishes one for CPUs: SGLang's kernels for them are on no index, and whoever has built them builds this too.
            cpu_image=f"llem-sglang:{_VERSION}-cpu",
            # SGLang 0.5.23 takes torch 2.14.1 and transformers 5.19.0 alone; llem-pytorch needs transformers from 5.23 on, and
            # vLLM 0.32 torch 2.13.
            conflicts=frozenset({"pytorch", "vllm"}),
            resolve=resolve,
            batch_size=batch_size,
            gpus=gpus,
            # Its tokenizer's library may start threads, and its host is another process anyway.
            warm_start=False,
            worth_varying={
                "max_running_requests": (4, 16, 64),
                "disable_radix_cache": (False, True),
                "dtype": ("float32", "bfloat16"),
                "schedule_policy": ("fcfs", "lpm"),
                "chunked_prefill_size": (2048, 8192),
                "disable_overlap_schedule": (False, True),
            },
        )
    ]


@hookimpl
def llem_preflight_checks() -> Sequence[CheckSpec]:
    """Checks that what the section `sglang:` asks for can work here."""
    return [
        CheckSpec(
            name="sglang-options",
            api_version=API_VERSION,
            summary="options of sglang fit together, and the rest of the experiment",
            check="llem_sglang.preflight:check_options",
            backends=frozenset({"sglang"}),
        ),
        CheckSpec(
            name="sglang-version",
            api_version=API_VERSION,
            summary="the SGLang of this environment is one that llem-sglang knows",
            check="llem_sglang.preflight:check_version",
            backends=frozenset({"sglang"}),
            runners=frozenset({"local"}),
        ),
    ]
