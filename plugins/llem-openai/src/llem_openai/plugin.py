"""Registrations of llem-openai."""

from __future__ import annotations

from collections.abc import Sequence

from llem.plugin_api import API_VERSION, BackendSpec, CheckSpec, hookimpl
from llem_openai.config import OpenaiConfig, batch_size


@hookimpl
def llem_backends() -> Sequence[BackendSpec]:
    """The backend `openai`."""
    return [
        BackendSpec(
            name="openai",
            api_version=API_VERSION,
            summary="any OpenAI-compatible HTTP server that runs already: vLLM, SGLang, llama.cpp, …",
            config=OpenaiConfig,
            engine="llem_openai.engine:OpenaiEngine",
            capabilities=frozenset({"cpu", "gpu", "streaming", "batching", "chat", "concurrent", "online"}),
            install="pip install llem-openai",
            batch_size=batch_size,
            worth_varying={"concurrency": (1, 8, 32)},
        )
    ]


@hookimpl
def llem_preflight_checks() -> Sequence[CheckSpec]:
    """The server answers, and knows the model."""
    return [
        CheckSpec(
            name="openai-server",
            api_version=API_VERSION,
            summary="the server behind openai.base_url answers, takes the key, and serves the model",
            check="llem_openai.preflight:check_server",
            backends=frozenset({"openai"}),
            runners=frozenset({"local"}),
        )
    ]
