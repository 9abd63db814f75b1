"""TensorRT-LLM by its names."""

from __future__ import annotations

from llem_engines.names import EngineNames

TRTLLM = EngineNames(
    engine="TensorRT-LLM",
    backend="trtllm",
    distributions=("tensorrt_llm", "tensorrt-llm"),
    log="worker.log",
    cache="key-value cache",
    context_option="trtllm.max_seq_len",
)
