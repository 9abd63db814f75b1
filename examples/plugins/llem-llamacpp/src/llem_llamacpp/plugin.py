"""Registrations of llem-llamacpp. It imports no engine: llem reads this in every command."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence

from pydantic import Field

from llem.plugin_api import API_VERSION, BackendSpec, Section, hookimpl

IMAGE = f"llem-llamacpp:{importlib.metadata.version('llem-llamacpp')}"
"""The image that image/Dockerfile makes."""


class LlamacppConfig(Section):
    """Options of the backend `llamacpp`: the section `llamacpp:` of a study."""

    threads: int | None = Field(None, ge=1, le=1024, description="CPU threads; null is llama.cpp's own choice")
    context: int = Field(2048, ge=8, description="tokens that a prompt and its answer may have together")
    batch: int = Field(512, ge=1, description="prompt tokens that are worked on at once")


@hookimpl
def llem_backends() -> Sequence[BackendSpec]:
    """The backend `llamacpp`."""
    return [
        BackendSpec(
            name="llamacpp",
            api_version=API_VERSION,
            summary="llama.cpp on the CPU, for GGUF files",
            config=LlamacppConfig,
            engine="llem_llamacpp.engine:LlamacppEngine",
            capabilities=frozenset({"cpu", "streaming"}),
            requires=("xllamacpp",),
            install="pip install llem-llamacpp",
            image=IMAGE,
        )
    ]
