"""Registrations of llem-pytorch. Importing this imports neither torch nor transformers."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence

from llem.plugin_api import API_VERSION, BackendSpec, CheckSpec, checks_in, hookimpl
from llem_pytorch.config import PyTorchConfig, batch_size, fit, gpus, resolve

IMAGE = f"ghcr.io/llenergymeasure/pytorch:{importlib.metadata.version('llem-pytorch')}"


@hookimpl
def llem_backends() -> Sequence[BackendSpec]:
    """The backend `pytorch`."""
    return [
        BackendSpec(
            name="pytorch",
            api_version=API_VERSION,
            summary="PyTorch with transformers' generate, on CPU, NVIDIA GPUs or Apple GPUs",
            config=PyTorchConfig,
            engine="llem_pytorch.engine:PyTorchEngine",
            capabilities=frozenset({"cpu", "gpu", "streaming", "batching", "chat", "multi_gpu", "concurrent"}),
            requires=("torch", "transformers", "accelerate", "safetensors"),
            install="pip install llem-pytorch",
            cpu_install="pip install --extra-index-url https://download.pytorch.org/whl/cpu llem-pytorch",
            image=f"{IMAGE}-cuda13",
            cpu_image=f"{IMAGE}-cpu",
            resolve=resolve,
            fit=fit,
            batch_size=batch_size,
            gpus=gpus,
            preload=(
                "transformers.modeling_utils",
                "transformers.generation.utils",
                "transformers.models.auto.modeling_auto",
                "transformers.models.llama.modeling_llama",
            ),
            worth_varying={
                "batch_size": (1, 4, 16),
                "dtype": ("float32", "bfloat16"),
                "attn_implementation": ("eager", "sdpa"),
                "batching": ("static", "sorted"),
                "cache_implementation": ("dynamic", "static"),
                "compile.enabled": (False, True),
            },
        )
    ]


@hookimpl
def llem_preflight_checks() -> Sequence[CheckSpec]:
    """Checks that what the section `pytorch:` asks for is there, where the worker runs in this environment, and can be served."""
    here = checks_in(
        "llem_pytorch.preflight",
        (
            ("pytorch-packages", "packages that options of pytorch need are installed", "check_packages"),
            ("pytorch-devices", "devices that options of pytorch need are there", "check_devices"),
        ),
        api_version=API_VERSION,
        backends=frozenset({"pytorch"}),
        runners=frozenset({"local"}),
    )
    anywhere = checks_in(
        "llem_pytorch.serving.check",
        (("pytorch-serving", "options of pytorch fit requests that do not wait for one another", "check_serving"),),
        api_version=API_VERSION,
        backends=frozenset({"pytorch"}),
    )
    return [*here, *anywhere]
