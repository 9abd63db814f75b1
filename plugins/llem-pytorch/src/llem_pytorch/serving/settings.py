"""Settings of continuous batching as arguments of transformers: pure functions over plain data, without torch."""

from __future__ import annotations

from typing import Any

from llem.plugin_api import DecodingConfig, ExperimentConfig
from llem_pytorch.arguments import sampling_arguments
from llem_pytorch.config import PyTorchConfig

CPU_CACHE_TOKENS = 16_384
CPU_BATCH_TOKENS = 512
"""By default on a CPU. transformers would take most of the host's memory, and fill a mask of max_batch_tokens by all tokens of
the cache."""


def is_served(config: ExperimentConfig) -> bool:
    """True where a stream may be asked for before the one before has ended."""
    return "concurrent" in config.needs


def only_in_queue(options: PyTorchConfig, decoding: DecodingConfig) -> str | None:
    """The first setting that continuous batching does not have, None where it has them all."""
    if options.only_in_queue is not None:
        return f"pytorch.{options.only_in_queue}"
    if decoding.repetition_penalty not in (None, 1.0):
        return f"decoding.repetition_penalty {decoding.repetition_penalty}"
    return None


def never_served(options: PyTorchConfig) -> tuple[str, str] | None:
    """A setting that no server here has, with what to do; None where everything can be served."""
    if options.compile.enabled:
        what = (
            "pytorch.compile.enabled compiles each size of batch anew, and batches of requests that come by themselves have "
            "every size: it would compile in the measured window"
        )
        return what, "Leave compile out in this scenario."
    if options.batching != "static":
        what = (
            f"pytorch.batching {options.batching} orders a whole dataset by length, and requests that come by themselves are "
            "answered in the order in which they come"
        )
        return what, "Leave batching out in this scenario; batch_size says how many share a batch of serving: queue."
    return None


def unused(options: PyTorchConfig) -> str | None:
    """The setting that continuous batching leaves unused, where it was given."""
    if options.batch_size == 1:
        return None
    return (
        f"pytorch.batch_size is {options.batch_size}, and continuous batching takes as many requests as "
        "pytorch.continuous_batching.max_requests_per_batch; batches of batch_size are those of pytorch.serving: queue"
    )


def continuous_arguments(options: PyTorchConfig, decoding: DecodingConfig, device: str) -> dict[str, Any]:
    """Arguments of transformers' `ContinuousBatchingConfig`.

    Args:
        device: of the model, such as `cpu` or `cuda:0`.
    """
    c = options.continuous_batching
    on_cpu = device == "cpu"
    arguments = {
        "page_size": c.page_size,
        "num_blocks": -(-CPU_CACHE_TOKENS // c.page_size) if c.num_blocks is None and on_cpu else c.num_blocks,
        "max_batch_tokens": CPU_BATCH_TOKENS if c.max_batch_tokens is None and on_cpu else c.max_batch_tokens,
        "max_requests_per_batch": c.max_requests_per_batch,
        "max_memory_percent": c.max_memory_percent,
        "scheduler_type": c.scheduler_type,
        "allow_block_sharing": c.allow_block_sharing,
        "seed": decoding.seed % 2**63,
        # The attention kernel is the study's; transformers would take another one where it finds it.
        "auto_switch_to_flash": False,
        "drop_unsupported_processors": False,
    }
    return {name: value for name, value in arguments.items() if value is not None}


def continuous_generation(decoding: DecodingConfig, pad_token_id: int) -> dict[str, Any]:
    """Arguments of transformers' `GenerationConfig` for all requests; lengths and stop tokens come with each."""
    return {"eos_token_id": -1, "pad_token_id": pad_token_id, **sampling_arguments(decoding)}
