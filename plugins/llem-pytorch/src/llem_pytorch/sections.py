"""The sections inside `pytorch:`, each one subject.

Names and values are those of torch 2.13 and transformers 5.23, read in their source; what either has removed or
deprecated (`torch_dtype`, `tp_plan` as an argument, string types for torchao, the `hybrid` caches) is not offered.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, model_validator

from llem.plugin_api import Section

QuantizationMethod = Literal[
    "none",
    "loaded",
    "bnb_8bit",
    "bnb_4bit",
    "torchao_int8",
    "torchao_int8_dynamic",
    "torchao_int4",
    "torchao_float8",
    "torchao_float8_dynamic",
]
QUANTIZATION_METHODS: tuple[str, ...] = get_args(QuantizationMethod)


def _whole(value: Any) -> Any:
    """Python takes true for 1, and so does a Literal."""
    if type(value) is not int:
        raise ValueError(f"{value!r} is not an integer")
    return value


_Whole = BeforeValidator(_whole)


class CompileConfig(Section):
    """torch.compile of the decoding step. It runs on a static cache, which is the default once it is enabled."""

    enabled: bool = Field(False, description="compile the decoding step; prefill stays as it is")
    mode: Literal["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs", "lite"] = Field(
        "reduce-overhead", description="mode of the backend inductor; the other backends have none"
    )
    backend: Literal["inductor", "cudagraphs", "aot_eager", "eager"] = Field(
        "inductor", description="torch.compile backend"
    )
    fullgraph: bool = Field(False, description="fail where the step cannot be captured as one graph")
    dynamic: bool | None = Field(
        None, description="compile for any shape (true), for each shape (false), or as torch decides (null)"
    )


class QuantizationConfig(Section):
    """Weights in fewer bits: quantized while they are loaded, or as the checkpoint has them."""

    method: QuantizationMethod = Field(
        "none",
        description="none: as the dtype says, a .gguf file is unpacked; loaded: as the checkpoint is quantized "
        "(GPTQ, AWQ, packed GGUF blocks, …); bnb_*: bitsandbytes; torchao_*: torchao, weight-only or with dynamic activations",
    )
    compute_dtype: Literal["float32", "float16", "bfloat16"] = Field(
        "bfloat16", description="bnb_4bit: dtype of the matrix products"
    )
    quant_type: Literal["nf4", "fp4"] = Field("nf4", description="bnb_4bit: data type of the weights")
    double_quant: bool = Field(False, description="bnb_4bit: quantize the quantization constants too")
    int8_threshold: float = Field(
        6.0, ge=0, le=1_000, description="bnb_8bit: activations beyond it are computed in float16"
    )
    group_size: Annotated[Literal[32, 64, 128, 256], _Whole] = Field(
        128, description="torchao_int4: weights that share a scale"
    )


class CacheQuantizationConfig(Section):
    """The storage of keys and values by `cache_implementation: quantized`."""

    backend: Literal["quanto", "hqq", "fp8"] = Field(
        "quanto",
        description="quanto and hqq quantize by groups; fp8 scales each tensor and takes none of the fields below",
    )
    bits: Annotated[Literal[1, 2, 3, 4, 8], _Whole] = Field(4, description="quanto: 2 or 4; hqq: 1, 2, 3, 4 or 8")
    group_size: int = Field(64, ge=8, le=1_024, description="values that share a scale")
    residual_length: int = Field(128, ge=1, le=65_536, description="newest tokens kept in full precision, at most")
    axis_key: Annotated[Literal[-1, 0, 1], _Whole] = Field(
        0, description="axis of the keys' groups; quanto: 0 or -1; hqq: 0 or 1"
    )
    axis_value: Annotated[Literal[-1, 0, 1], _Whole] = Field(0, description="axis of the values' groups; likewise")

    @model_validator(mode="after")
    def _fits_backend(self) -> CacheQuantizationConfig:
        if self.backend == "quanto" and self.bits not in (2, 4):
            raise ValueError(
                f"bits {self.bits} is not possible with backend quanto, which has 2 and 4; hqq has 1, 2, 3, 4 and 8"
            )
        if self.backend != "fp8":
            wrong = 1 if self.backend == "quanto" else -1
            for name in ("axis_key", "axis_value"):
                if getattr(self, name) == wrong:
                    raise ValueError(
                        f"{name} {wrong} is not possible with backend {self.backend}, which has 0 and {-wrong}"
                    )
        return self


class TensorParallelConfig(Section):
    """Each layer split over several devices, by transformers' own plan for the architecture."""

    size: int = Field(1, ge=1, le=64, description="devices (one process each); 1 is no tensor parallelism")
    plan: dict[str, str] | None = Field(
        None, description="rules laid over the model's own plan, module pattern to style; null: the model's own plan"
    )


class ContinuousBatchingConfig(Section):
    """transformers' continuous batching: requests join and leave at every step, and their keys and values lie in pages."""

    page_size: int = Field(256, ge=4, le=65_536, description="tokens of one layer in a page of the cache")
    num_blocks: int | None = Field(
        None,
        ge=1,
        le=100_000_000,
        description="blocks of page_size tokens that the cache holds; null: as many as a GPU's memory allows, on a CPU enough for "
        "16,384 tokens",
    )
    max_batch_tokens: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="tokens computed in a step, at most: longer prompts are prefilled in chunks; null: 8,192, on a CPU 512",
    )
    max_requests_per_batch: int | None = Field(
        None, ge=1, le=1_000_000, description="requests in a step, at most; null: transformers' limit of 1,024"
    )
    max_memory_percent: float | None = Field(
        None, gt=0, le=1, description="share of free memory that the cache may take where num_blocks is null; null: 0.9"
    )
    scheduler_type: Literal["fifo", "prefill_first"] = Field(
        "fifo", description="fifo: requests that decode come first; prefill_first: prompts that are half done"
    )
    allow_block_sharing: bool = Field(
        False,
        description="share pages of equal prompt beginnings, which then are not computed; off, since a load repeats its prompts and "
        "transformers does not count what it found",
    )
