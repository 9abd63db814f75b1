"""From a study's words to TensorRT-LLM's: what `LLM` and SamplingParams are made with. Pure functions; nothing of it is imported."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from llem.plugin_api import ConfigError, DecodingConfig, ExperimentConfig, Request, Section
from llem_engines import decoding as shared
from llem_engines.passes import has_passes
from llem_engines.section import given
from llem_trtllm.config import APART, is_built, keeps_cache

TORCH_ONLY = frozenset(
    {
        "allreduce_strategy",
        "attention_dp_config",
        "attn_backend",
        "batch_wait_max_tokens_ratio",
        "batch_wait_timeout_iters",
        "batch_wait_timeout_ms",
        "checkpoint_format",
        "cuda_graph_config",
        "disable_overlap_scheduler",
        "enable_autotuner",
        "enable_iter_perf_stats",
        "enable_iter_req_stats",
        "enable_layerwise_nvtx_marker",
        "enable_min_latency",
        "force_dynamic_quantization",
        "garbage_collection_gen0_threshold",
        "moe_config",
        "perf_metrics_max_requests",
        "print_iter_log",
        "sampler_type",
        "stream_interval",
        "torch_compile_config",
    }
)
"""Arguments that only PyTorch's executor takes."""

NO_END = -1
"""The word of TensorRT-LLM for an answer that no token ends."""

_ENDING = ("stop", "stop_token_ids")
_OF_TEXT = ("stop", "bad")


def engine_arguments(options: Section) -> dict[str, Any]:
    """Keywords of `LLM` that the section gives; the model's come from `loading`. Options at their default are left to TensorRT-LLM."""
    found = given(options, APART)
    if is_built(options):
        found |= given(options).get("tensorrt", {})
    return found


def build_inputs(options: Section) -> dict[str, Any]:
    """The options by which a built engine is another one: every argument but those that only say how it is run."""
    run_only = ("kv_cache_config", "scheduler_config", "enable_chunked_prefill", "guided_decoding_backend")
    only_run = ("extended_runtime_perf_knob_config", "batching_type", "normalize_log_probs")
    found = engine_arguments(options)
    return {name: value for name, value in found.items() if name not in (*run_only, *only_run)}


def needs_text(options: Section) -> bool:
    """True where TensorRT-LLM needs the tokenizer itself, to know words by their tokens. Else text is made after the window."""
    sampling = getattr(options, "sampling", None)
    return any(getattr(sampling, name, None) for name in _OF_TEXT)


def sampling_arguments(options: Section, decoding: DecodingConfig) -> dict[str, Any]:
    """Keywords of SamplingParams that every request shares."""
    found = shared.sampling_arguments(options, decoding)
    if decoding.temperature is None:
        # One token to choose from is greedy in each of its samplers, which read a temperature of zero in several ways.
        found |= {"top_k": 1}
        del found["temperature"]
    else:
        # With neither, a temperature alone would leave it greedy.
        found.setdefault("top_p", 1.0)
    return {
        **found,
        "detokenize": bool(found.get("stop")),
        # What was handed out is not taken back: an answer has the token that ended it.
        "include_stop_str_in_output": True,
    }


def request_arguments(
    sampling: dict[str, Any], decoding: DecodingConfig, request: Request, end_ids: Sequence[int], *, has_text: bool
) -> dict[str, Any]:
    """Keywords of SamplingParams for one request.

    Args:
        sampling: those that all share.
        decoding: of the study.
        request: the request.
        end_ids: tokens that end an answer of this model.
        has_text: TensorRT-LLM has the tokenizer, and asks it for the end.
    """
    found = {**sampling, "max_tokens": request.output_tokens, "ignore_eos": request.ignore_eos}
    if decoding.temperature is not None:
        # Requests with one seed would draw alike.
        found["seed"] = decoding.seed + request.id
    if request.ignore_eos:
        return found if has_text else {**found, "end_id": NO_END}
    others = [*end_ids[1:], *(sampling.get("stop_token_ids") or ())]
    if others:
        found["stop_token_ids"] = others
    return found if has_text else {**found, "end_id": end_ids[0] if end_ids else NO_END}


def check_options(config: ExperimentConfig) -> Iterator[ConfigError]:
    """Options that contradict one another, or the rest of the experiment, each as an error."""
    options = config.options
    shared.check_lengths(config, _ENDING)
    if needs_text(options) and config.model.source.startswith("random:") and config.model.tokenizer is None:
        yield ConfigError(
            "`trtllm.sampling` asks for words, and a random: model has no tokenizer to know them by.",
            remedy="Name a tokenizer in model.tokenizer, or say trtllm.sampling.stop_token_ids.",
        )
    yield from _about_engines(options)
    if keeps_cache(options) and not has_passes(config):
        yield ConfigError(
            f"`trtllm.keep_cache` is about passes over the dataset, and the scenario {config.measurement.scenario} has none.",
            remedy="Leave it out: under load what was cached of prompts is always kept, as a server keeps it.",
        )
    if keeps_cache(options) and not reuses(options):
        yield ConfigError(
            "`trtllm.keep_cache` keeps what was cached of prompts, and `trtllm.kv_cache_config.enable_block_reuse: false` lets none of it "
            "be found.",
            remedy="Leave one of them out.",
        )


def reuses(options: Section) -> bool:
    """True where a prompt may be found in the cache."""
    return given(options).get("kv_cache_config", {}).get("enable_block_reuse", True) is not False


def _about_engines(options: Section) -> Iterator[ConfigError]:
    asked = given(options)
    if not is_built(options):
        if asked.get("tensorrt"):
            yield ConfigError(
                f"`trtllm.tensorrt.{next(iter(asked['tensorrt']))}` is about engines that TensorRT builds, and none is built.",
                remedy="Say trtllm.engine: tensorrt, or leave it out.",
            )
        return
    for name in sorted(TORCH_ONLY & asked.keys()):
        yield ConfigError(
            f"`trtllm.{name}` is an option of PyTorch's executor, and an engine of TensorRT has none.",
            remedy="Leave it out, or say trtllm.engine: pytorch.",
        )
    if asked.get("kv_cache_config", {}).get("dtype", "auto") != "auto":
        yield ConfigError(
            "`trtllm.kv_cache_config.dtype` is an option of PyTorch's executor: an engine of TensorRT has it from its building.",
            remedy="Say trtllm.tensorrt.quant_config.kv_cache_quant_algo.",
        )
