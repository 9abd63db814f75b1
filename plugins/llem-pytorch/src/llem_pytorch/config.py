"""The section `pytorch:` of an experiment, and what of it has an effect."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from llem.plugin_api import Section
from llem_pytorch.sections import (
    CacheQuantizationConfig,
    CompileConfig,
    ContinuousBatchingConfig,
    QuantizationConfig,
    TensorParallelConfig,
)

FLASH = frozenset({"flash_attention_2", "flash_attention_3", "flash_attention_4"})
GPU_ATTENTION = FLASH | {"flex_attention"}
"""Kernels for CUDA only. flex_attention: torch 2.13 compiles it for the CPU into C++ that no compiler takes once prompts are padded."""
STATIC_CACHES = frozenset({"static", "offloaded_static"})
MAX_WAIT_S = 0.05


class PyTorchConfig(Section):
    """Options of the backend `pytorch`."""

    dtype: Literal["auto", "float32", "float16", "bfloat16"] = Field(
        "auto", description="dtype of weights and activations; auto: as the checkpoint says"
    )
    float32_matmul: Literal["highest", "high", "medium"] = Field(
        "highest", description="precision of float32 matrix products; high and medium allow TF32 or bfloat16 inside"
    )
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|mps|cuda(:[0-9]{1,3})?)$",
        description="auto, cpu, mps, cuda or cuda:N; auto: the first GPU where there is one",
        examples=["auto", "cpu", "cuda:0"],
    )
    device_map: Literal["auto", "balanced", "balanced_low_0", "sequential"] | None = Field(
        None, description="spread the layers over all visible devices; null: one device"
    )
    tensor_parallel: TensorParallelConfig = Field(
        default_factory=TensorParallelConfig, description="split each layer over several devices"
    )
    attn_implementation: (
        Literal["eager", "sdpa", "flash_attention_2", "flash_attention_3", "flash_attention_4", "flex_attention"] | None
    ) = Field(None, description="attention kernel; null: transformers' choice for the model, recorded in the result")
    batch_size: int = Field(
        1,
        ge=1,
        le=65_536,
        description="requests in a batch; without effect on dynamic batching and on continuous serving",
    )
    batching: Literal["static", "sorted", "dynamic"] = Field(
        "static",
        description="static: in the order of the dataset; sorted: longest prompts first, so that like lengths meet; "
        "dynamic: longest first, as many as max_batch_tokens holds",
    )
    max_batch_tokens: int | None = Field(
        None, ge=1, le=1_000_000_000, description="dynamic batching: rows x (longest prompt + longest answer), at most"
    )
    serving: Literal["continuous", "queue"] | None = Field(
        None,
        description="how requests are answered that do not wait for one another (scenario server). continuous: transformers' "
        "continuous batching; queue: static batches of batch_size behind a queue; null: continuous, or queue where another option "
        "rules it out, recorded in the result",
    )
    max_wait_s: float = Field(
        MAX_WAIT_S,
        ge=0,
        le=3_600,
        description="serving queue: a batch that is not full starts when its oldest request has waited so long",
    )
    continuous_batching: ContinuousBatchingConfig = Field(
        default_factory=ContinuousBatchingConfig, description="details of serving continuous"
    )
    compile: CompileConfig = Field(default_factory=CompileConfig, description="torch.compile of the decoding step")
    use_cache: bool = Field(True, description="keep keys and values between steps; false computes them anew")
    cache_implementation: Literal["dynamic", "static", "offloaded", "offloaded_static", "quantized"] | None = Field(
        None, description="how keys and values are kept; null: dynamic, or static where compile is enabled"
    )
    cache_quantization: CacheQuantizationConfig = Field(
        default_factory=CacheQuantizationConfig, description="details of cache_implementation quantized"
    )
    prefill_chunk_size: int | None = Field(
        None, ge=1, le=1_000_000, description="prefill in chunks of so many tokens, for less memory; null: at once"
    )
    quantization: QuantizationConfig = Field(default_factory=QuantizationConfig, description="weights in fewer bits")
    prompt_lookup_num_tokens: int | None = Field(
        None, ge=1, le=1_000, description="draft so many tokens by finding the last ones again in the prompt"
    )
    max_matching_ngram_size: int = Field(
        2, ge=1, le=64, description="prompt lookup: longest run of tokens to find again"
    )
    assistant_model: str | None = Field(
        None,
        min_length=1,
        description="draft with this smaller model: a source like model.source, of the same vocabulary",
    )
    assistant_revision: str | None = Field(None, min_length=1, description="branch, tag or commit of a hub assistant")
    num_assistant_tokens: int = Field(20, ge=1, le=1_000, description="tokens that the assistant drafts at a time")
    assistant_confidence_threshold: float = Field(
        0.4, ge=0, le=1, description="the assistant stops drafting below this confidence; 0: never"
    )
    lora_adapter: str | None = Field(None, min_length=1, description="folder or hub id of a LoRA adapter")
    lora_revision: str | None = Field(None, min_length=1, description="branch, tag or commit of a hub adapter")
    lora_merge: bool = Field(False, description="add the adapter into the weights, instead of computing it beside them")
    num_threads: int | None = Field(
        None, ge=1, le=4_096, description="CPU threads inside an operation; null: torch's default"
    )
    num_interop_threads: int | None = Field(
        None, ge=1, le=4_096, description="CPU threads between operations; null: torch's default"
    )

    @property
    def speculative(self) -> bool:
        """Tell whether several tokens can come out of one step."""
        return self.prompt_lookup_num_tokens is not None or self.assistant_model is not None

    @property
    def effective_cache(self) -> str | None:
        """The cache that is asked for, None without one."""
        if not self.use_cache:
            return None
        return self.cache_implementation or ("static" if self.compile.enabled else "dynamic")

    @property
    def only_in_queue(self) -> str | None:
        """The first option that continuous batching does not have, with its value; None where it has them all."""
        found = {
            "use_cache": not self.use_cache,
            "cache_implementation": self.cache_implementation not in (None, "dynamic"),
            "prefill_chunk_size": self.prefill_chunk_size is not None,
            "prompt_lookup_num_tokens": self.prompt_lookup_num_tokens is not None,
            "assistant_model": self.assistant_model is not None,
            "tensor_parallel.size": self.tensor_parallel.size > 1,
            "device_map": self.device_map is not None,
            "attn_implementation": self.attn_implementation == "flex_attention",
        }
        option = next((option for option, is_asked in found.items() if is_asked), None)
        if option is None:
            return None
        value = self.tensor_parallel.size if option == "tensor_parallel.size" else getattr(self, option)
        return f"{option} {str(value).lower() if isinstance(value, bool) else value}"

    @property
    def serves_continuously(self) -> bool:
        """Tell whether requests that come at once are answered by continuous batching, as far as this section can say."""
        return self.serving == "continuous" or (self.serving is None and self.only_in_queue is None)

    @model_validator(mode="after")
    def _without_contradiction(self) -> PyTorchConfig:
        for wrong, text in _contradictions(self):
            if wrong:
                raise ValueError(text)
        return self


def _contradictions(c: PyTorchConfig) -> list[tuple[bool, str]]:
    parallel = c.tensor_parallel.size > 1
    static = c.cache_implementation in STATIC_CACHES
    method = c.quantization.method
    return [
        (c.batching == "dynamic" and c.max_batch_tokens is None, "batching dynamic needs max_batch_tokens"),
        (
            c.batching != "dynamic" and c.max_batch_tokens is not None,
            f"max_batch_tokens belongs to batching dynamic; with batching {c.batching} say batch_size",
        ),
        (
            not c.use_cache and c.cache_implementation is not None,
            f"cache_implementation {c.cache_implementation} contradicts use_cache false",
        ),
        (
            c.serving == "continuous" and c.only_in_queue is not None,
            f"serving continuous is not possible with {c.only_in_queue}; say serving queue",
        ),
        (c.compile.enabled and not c.use_cache, "compile.enabled needs a static cache, and use_cache is false"),
        (
            c.compile.enabled and c.cache_implementation not in (None, "static"),
            f"compile.enabled needs cache_implementation static (or null), not {c.cache_implementation}",
        ),
        (
            c.prompt_lookup_num_tokens is not None and c.assistant_model is not None,
            "prompt_lookup_num_tokens and assistant_model are two ways to draft tokens; choose one",
        ),
        (
            c.speculative and (c.batch_size > 1 or c.batching == "dynamic"),
            "prompt lookup and assisted decoding answer one request at a time: batch_size 1, batching static or sorted",
        ),
        (
            c.speculative and (not c.use_cache or static or c.compile.enabled or c.cache_implementation == "quantized"),
            "prompt lookup and assisted decoding take back drafted tokens: they need a dynamic or offloaded cache, and no compile",
        ),
        (
            c.prefill_chunk_size is not None and (not c.use_cache or c.speculative),
            "prefill_chunk_size needs a cache, and plain decoding (no prompt lookup, no assistant)",
        ),
        (
            c.device_map is not None and c.device != "auto",
            f"device_map {c.device_map} chooses the devices itself; leave device at auto, not {c.device}",
        ),
        (
            parallel and (c.device_map is not None or c.device == "mps" or ":" in c.device),
            "tensor_parallel uses the first devices in order: leave device_map null, and device at auto, cpu or cuda",
        ),
        (
            parallel and (c.assistant_model is not None or c.lora_adapter is not None or method != "none"),
            "tensor_parallel is not possible together with assistant_model, lora_adapter or quantization",
        ),
        (
            c.attn_implementation in GPU_ATTENTION and c.device in ("cpu", "mps"),
            f"attn_implementation {c.attn_implementation} runs on CUDA only, not on {c.device}",
        ),
        (
            c.attn_implementation in FLASH and c.dtype == "float32",
            f"attn_implementation {c.attn_implementation} computes in float16 or bfloat16, not float32",
        ),
        (
            c.attn_implementation in FLASH and c.compile.enabled and c.compile.fullgraph,
            "flash attention on a static cache breaks the graph: compile.fullgraph must be false",
        ),
        (
            c.cache_implementation in ("offloaded", "offloaded_static") and c.device == "cpu",
            f"cache_implementation {c.cache_implementation} moves a GPU's cache to host memory; device is cpu",
        ),
        (
            c.compile.enabled and c.compile.backend == "cudagraphs" and c.device in ("cpu", "mps"),
            f"compile.backend cudagraphs needs CUDA, and device is {c.device}",
        ),
    ]


def resolve(section: Section) -> Section:
    """The same options with every field that has no effect at its default. Takes and returns a `PyTorchConfig`."""
    if not isinstance(section, PyTorchConfig):
        raise TypeError(f"the backend pytorch resolves its own section, not {type(section).__name__}")
    changes: dict[str, Any] = {}
    if section.only_in_queue is not None:
        changes["serving"] = None
    if section.device == "cuda:0":
        changes["device"] = "cuda"
    if section.tensor_parallel.size == 1:
        changes["tensor_parallel"] = TensorParallelConfig()
    if section.batching == "dynamic":
        changes["batch_size"] = 1
    if section.serves_continuously:
        changes["max_wait_s"] = MAX_WAIT_S
    else:
        changes["continuous_batching"] = ContinuousBatchingConfig()
    changes["compile"] = _resolve_compile(section.compile)
    if section.use_cache and section.cache_implementation == ("static" if section.compile.enabled else "dynamic"):
        changes["cache_implementation"] = None
    if section.cache_implementation != "quantized":
        changes["cache_quantization"] = CacheQuantizationConfig()
    elif section.cache_quantization.backend == "fp8":
        changes["cache_quantization"] = CacheQuantizationConfig(backend="fp8")
    changes["quantization"] = _resolve_quantization(section.quantization)
    if section.prompt_lookup_num_tokens is None:
        changes["max_matching_ngram_size"] = 2
    if section.assistant_model is None:
        changes |= {"assistant_revision": None, "num_assistant_tokens": 20, "assistant_confidence_threshold": 0.4}
    if section.lora_adapter is None:
        changes |= {"lora_revision": None, "lora_merge": False}
    return section.model_copy(update=changes)


def fit(section: Section, together: int) -> Section:
    """A batch size that so many requests cannot fill goes to their number: transformers sees the rows that there are."""
    assert isinstance(section, PyTorchConfig)
    if section.batch_size <= together:
        return section
    return section.model_copy(update={"batch_size": together})


def batch_size(section: Section) -> int | None:
    """Rows of a full batch; None where batches are filled by tokens."""
    assert isinstance(section, PyTorchConfig)
    return None if section.batching == "dynamic" else section.batch_size


def _resolve_compile(section: CompileConfig) -> CompileConfig:
    if not section.enabled:
        return CompileConfig()
    if section.backend != "inductor":
        return section.model_copy(update={"mode": CompileConfig().mode})
    return section


def _resolve_quantization(section: QuantizationConfig) -> QuantizationConfig:
    has_effect = {
        "bnb_4bit": ("compute_dtype", "quant_type", "double_quant"),
        "bnb_8bit": ("int8_threshold",),
        "torchao_int4": ("group_size",),
    }.get(section.method, ())
    return QuantizationConfig(method=section.method, **{name: getattr(section, name) for name in has_effect})


def gpus(section: Section) -> int | None:
    """Number of GPUs that a section takes: 0 on the CPU or an Apple GPU, None for all that it may see."""
    assert isinstance(section, PyTorchConfig)
    if section.device in ("cpu", "mps"):
        return 0
    if section.tensor_parallel.size > 1:
        return section.tensor_parallel.size
    # A map spreads over whatever there is, and `cuda:3` names a place among all.
    return None if section.device_map is not None or ":" in section.device else 1
