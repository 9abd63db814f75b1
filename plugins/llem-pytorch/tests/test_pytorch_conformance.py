"""The backend holds what `llem_plugin_kit` asks of every backend, in each way that it can group and cache."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
from pytorch_lab import SERVED

from llem.config.compose import Composer
from llem.plugins import default_registry
from llem.specs.backend import BackendSpec, LoadContext
from llem.specs.kinds import SCENARIOS
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


class Served(BackendConformance):
    """As the scenario `server` loads it."""

    backend = "pytorch"

    @classmethod
    def context(cls, spec: BackendSpec, model: str, options: Mapping[str, Any]) -> LoadContext:
        document = {"model": model, "backend": cls.backend, cls.backend: dict(options), **SERVED}
        config = Composer({cls.backend: spec}, default_registry()[SCENARIOS]).compose(document)
        return LoadContext(config=config, base_dir=".", progress=lambda _: None)


class TestContinuousServing(Served):
    model = "random:tiny-llama"
    options: ClassVar = {"device": "cpu", "dtype": "float32", "serving": "continuous"}


class TestQueue(Served):
    model = "random:tiny-qwen2"
    options: ClassVar = {"device": "cpu", "dtype": "float32", "serving": "queue", "batch_size": 2, "max_wait_s": 0.01}
