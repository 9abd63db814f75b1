"""Names that options of vLLM had once, each with what to write today. Dotted below the section `vllm`."""

from __future__ import annotations

from collections.abc import Mapping

_SPECULATIVE = "vLLM gathers speculative decoding in one option; write `vllm.speculative_config.{}`"
_SINGLE_STEP = "vLLM's present engine has no multi-step scheduling; write `vllm.async_scheduling` to overlap scheduling with the device's work"
_V1 = "vLLM has one engine only and settles this itself; leave it out"

RETIRED: Mapping[str, str] = {
    "swap_space": "vLLM no longer swaps sequences to host memory, it computes them anew; "
    "write `vllm.kv_offloading_size` to keep key-value blocks in host memory",
    "preemption_mode": "vLLM always computes preempted sequences anew; leave it out",
    "use_v2_block_manager": _V1,
    "use_v1": _V1,
    "num_scheduler_steps": _SINGLE_STEP,
    "multi_step_stream_outputs": _SINGLE_STEP,
    "num_lookahead_slots": _V1,
    "scheduler_delay_factor": "vLLM schedules without delay; leave it out",
    "disable_async_output_proc": "write `vllm.async_scheduling: false`",
    "speculative_model": _SPECULATIVE.format("model"),
    "speculative_model_quantization": _SPECULATIVE.format("quantization"),
    "speculative_draft_tensor_parallel_size": _SPECULATIVE.format("draft_tensor_parallel_size"),
    "speculative_max_model_len": _SPECULATIVE.format("max_model_len"),
    "speculative_disable_by_batch_size": _SPECULATIVE.format("num_speculative_tokens"),
    "num_speculative_tokens": _SPECULATIVE.format("num_speculative_tokens"),
    "ngram_prompt_lookup_max": _SPECULATIVE.format("prompt_lookup_max"),
    "ngram_prompt_lookup_min": _SPECULATIVE.format("prompt_lookup_min"),
    "max_seq_len_to_capture": "write `vllm.max_cudagraph_capture_size`",
    "cuda_graph_sizes": "write `vllm.cudagraph_capture_sizes`",
    "device": "vLLM takes the platform that it was built for; choose devices by CUDA_VISIBLE_DEVICES",
    "task": "llem measures models that generate text; leave it out",
    "worker_use_ray": "write `vllm.distributed_executor_backend: ray`",
    "engine_use_ray": "write `vllm.distributed_executor_backend: ray`",
    "rope_scaling": "write `vllm.hf_overrides: {rope_parameters: …}`",
    "rope_theta": "write `vllm.hf_overrides: {rope_parameters: …}`",
    "lora_extra_vocab_size": "vLLM no longer extends the vocabulary for adapters; leave it out",
    "long_lora_scaling_factors": "vLLM reads it from the adapter; leave it out",
    "enable_prompt_adapter": "vLLM no longer has prompt adapters; write `vllm.lora_adapter`",
    "qlora_adapter_name_or_path": "write `vllm.lora_adapter` and `vllm.quantization: bitsandbytes`",
    "guided_decoding_backend": "write `vllm.structured_outputs_config.backend`",
    "tokenizer_pool_size": "vLLM tokenizes in one process; leave it out",
    "disable_log_requests": "it is the default; leave it out",
    "override_neuron_config": "write `vllm.additional_config`",
    "sampling.best_of": "vLLM no longer draws several answers to keep one; leave it out",
    "sampling.use_beam_search": "vLLM has no beam search in its engine; leave it out",
    "sampling.length_penalty": "it belonged to beam search, which vLLM's engine no longer has; leave it out",
    "sampling.early_stopping": "it belonged to beam search, which vLLM's engine no longer has; leave it out",
    "sampling.guided_decoding": "write `vllm.sampling.structured_outputs`",
    "sampling.truncate_prompt_tokens": "write `dataset.input_tokens`",
    "environment.VLLM_ATTENTION_BACKEND": "write `vllm.attention_backend`",
    "environment.VLLM_USE_V1": _V1,
    "environment.VLLM_ALL2ALL_BACKEND": "write `vllm.all2all_backend`",
    "environment.VLLM_FLASH_ATTN_VERSION": "write `vllm.attention_config.flash_attn_version`",
}
