"""Caveats of this backend: settings that TensorRT-LLM did not take, and work that it saved."""

from __future__ import annotations

from llem_engines.caveats import EngineCaveats
from llem_trtllm.names import TRTLLM

CAVEATS = EngineCaveats(
    TRTLLM,
    no_cache="trtllm.kv_cache_config.enable_block_reuse: false",
    cached=": so much less was computed than they hold. In the scenario server, or with trtllm.keep_cache, that is a choice of "
    "deployment: name it with the figures. Else prompts of one pass begin alike: set "
    "trtllm.kv_cache_config.enable_block_reuse: false, or say so.",
    taken_back="paused",
    more_room="Raise trtllm.kv_cache_config.free_gpu_memory_fraction, or lower trtllm.max_batch_size.",
)
