"""The backend holds what `llem_plugin_kit` asks of every backend, in each way that it can group and cache."""

from __future__ import annotations

from typing import ClassVar

import pytest

from llem_plugin_kit import BackendConformance

pytestmark = pytest.mark.engine


class TestOneAtATime(BackendConformance):
    backend = "pytorch"
    model = "random:tiny-llama"
    options: ClassVar = {"device": "cpu", "dtype": "float32"}


class TestStaticBatches(BackendConformance):
    backend = "pytorch"
    model = "random:tiny-qwen2"
    options: ClassVar = {"device": "cpu", "dtype": "bfloat16", "batch_size": 2}


class TestDynamicBatches(BackendConformance):
    backend = "pytorch"
    model = "random:tiny-mixtral"
    options: ClassVar = {"device": "cpu", "dtype": "float32", "batching": "dynamic", "max_batch_tokens": 40}


class TestStaticCache(BackendConformance):
    backend = "pytorch"
    model = "random:tiny-llama"
    options: ClassVar = {"device": "cpu", "dtype": "float32", "batch_size": 3, "cache_implementation": "static"}


class TestPromptLookup(BackendConformance):
    backend = "pytorch"
    model = "random:tiny-llama"
    options: ClassVar = {"device": "cpu", "dtype": "float32", "prompt_lookup_num_tokens": 3}
