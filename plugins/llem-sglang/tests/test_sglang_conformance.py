"""The backend holds what `llem_plugin_kit` asks of every backend."""

from __future__ import annotations

from typing import ClassVar

import pytest

from llem_plugin_kit import BackendConformance

pytestmark = [pytest.mark.sglang, pytest.mark.timeout(300)]


class TestRandomWeights(BackendConformance):
    backend = "sglang"
    model = "random:smollm2-135m"
    options: ClassVar = {
        "device": "cpu",
        "attention_backend": "torch_native",
        "sampling_backend": "pytorch",
        "disable_cuda_graph": True,
        "max_total_tokens": 4096,
        "dtype": "float32",
        "context_length": 128,
    }
