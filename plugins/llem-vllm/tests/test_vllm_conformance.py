"""The backend holds what `llem_plugin_kit` asks of every backend."""

from __future__ import annotations

from typing import ClassVar

import pytest

from llem_plugin_kit import BackendConformance

pytestmark = pytest.mark.vllm


class TestRandomWeights(BackendConformance):
    backend = "vllm"
    model = "random:smollm2-135m"
    options: ClassVar = {"dtype": "float32", "enforce_eager": True, "max_model_len": 128}


class TestOverHttp(BackendConformance):
    backend = "vllm"
    model = "random:smollm2-135m"
    options: ClassVar = {"frontend": "http", "dtype": "float32", "enforce_eager": True, "max_model_len": 128}
