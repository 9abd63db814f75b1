"""Engines as the backend's tests use them: the released SGLang on a CPU, in float32, by its own PyTorch code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psutil
from vllm_lab import Session

from llem.config.compose import Composer
from llem.plugins import default_registry, load_object
from llem.specs.backend import Engine, LoadContext
from llem.specs.kinds import BACKENDS, SCENARIOS
from llem_plugin_kit.processes import is_alive, settled

ON_CPU: Mapping[str, Any] = {
    "device": "cpu",
    "attention_backend": "torch_native",
    "sampling_backend": "pytorch",
    "disable_cuda_graph": True,
    "max_total_tokens": 8192,
    "dtype": "float32",
}
"""Options by which SGLang runs without a GPU and without its kernel library."""


def start(source: str, sglang: Mapping[str, Any], **sections: Any) -> Session:
    """Load by the spec that is registered."""
    registry = default_registry()
    document = {"model": source, "backend": "sglang", "sglang": {**ON_CPU, **sglang}, **sections}
    config = Composer(registry[BACKENDS], registry[SCENARIOS]).compose(document)
    engine: Engine = load_object(registry.find(BACKENDS, "sglang").engine)()
    try:
        return Session(engine, engine.load(LoadContext(config=config, base_dir=".", progress=lambda _: None)))
    except BaseException:
        engine.close()
        raise


def below(pid: int | None = None) -> list[psutil.Process]:
    """Every process below one, or below this one."""
    return psutil.Process(pid).children(recursive=True)


def gone(processes: list[psutil.Process]) -> bool:
    """True once none of them runs any more."""
    return not settled(lambda: [one.pid for one in processes if is_alive(one.pid)])
