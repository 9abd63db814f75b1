"""The configuration of one experiment, section by section.

These models are the one source of the JSON Schema, of the reference docs, and of each field's constraints.
Every field is described where it stands; a default is what METHOD's definitions ask for.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, SerializeAsAny, model_validator

from llem.config.section import Section


class ModelConfig(Section):
    """The model that is loaded. A plain string is its `source`."""

    source: str = Field(
        min_length=1,
        description="hub id, folder, .gguf file, pkg:PACKAGE/FILE, or random:ARCHITECTURE",
        examples=["HuggingFaceTB/SmolLM2-135M-Instruct", "random:llama-3.1-8b"],
    )
    revision: str | None = Field(None, min_length=1, description="branch, tag or commit of a hub model")
    tokenizer: str | None = Field(
        None, min_length=1, description="hub id or folder of another tokenizer; random: models count bytes without one"
    )
    trust_remote_code: bool = Field(False, description="run code that the model brings along; recorded in the result")

    @model_validator(mode="before")
    @classmethod
    def _from_string(cls, value: Any) -> Any:
        return {"source": value} if isinstance(value, str) else value


class DatasetConfig(Section):
    """The prompts that are sent, and the length of the answers. A plain string is its `name`, or a `.jsonl` file."""

    name: str = Field("aienergyscore", min_length=1, description="a dataset that `llem plugins` lists")
    n: int = Field(
        100, ge=1, le=10_000_000, description="how many prompts; of a jsonl file all, where this is left out"
    )
    input_tokens: int | None = Field(
        None, ge=1, le=10_000_000, description="synthetic: exactly so many; text: prompts are cut to at most so many"
    )
    output_tokens: int = Field(
        128, ge=1, le=1_000_000, description="output tokens per request; a limit where length is natural"
    )
    path: str | None = Field(None, min_length=1, description="file of a jsonl dataset, or id of a hub dataset")
    field: str | None = Field(
        None, min_length=1, description="the field that holds the prompt; found where there is only one candidate"
    )
    split: str | None = Field(None, min_length=1, description="split of a hub dataset")
    revision: str | None = Field(None, min_length=1, description="revision of a hub dataset")
    prefix_share: float | None = Field(
        None, ge=0, lt=1, description="shared_prefix: share of each prompt that all of them have in common"
    )
    shuffle: bool = Field(False, description="draw the n prompts at random (seeded) instead of taking the first n")
    seed: int = Field(0, ge=0, lt=2**32, description="seed of shuffle and of synthetic prompts")
    chat_template: bool = Field(False, description="wrap each prompt as one user message in the model's chat template")

    @model_validator(mode="before")
    @classmethod
    def _from_string(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": "jsonl", "path": value} if value.endswith(".jsonl") else {"name": value}
        return value


class DecodingConfig(Section):
    """The choice of the next token, and the end of a sequence."""

    preset: Literal["greedy", "precise", "balanced", "creative"] | None = Field(
        None, description="a named set of the fields below; a field that is given too wins over it"
    )
    temperature: float | None = Field(None, ge=0, le=100, description="0 or null is greedy decoding")
    top_k: int | None = Field(None, ge=1, le=1_000_000, description="sample among the k likeliest tokens")
    top_p: float | None = Field(
        None, gt=0, le=1, description="sample among the likeliest tokens of this total probability"
    )
    min_p: float | None = Field(
        None, ge=0, le=1, description="drop tokens less likely than this share of the likeliest"
    )
    repetition_penalty: float | None = Field(None, gt=0, le=10, description="above 1 makes repetition less likely")
    length: Literal["fixed", "natural"] = Field(
        "fixed",
        description="fixed: exactly dataset.output_tokens, end-of-sequence ignored; natural: until the stop token. The scenario "
        "server takes natural where nothing is given",
    )
    seed: int = Field(42, ge=0, lt=2**32, description="seed of sampling")


class MeasurementConfig(Section):
    """The quantities that are measured, and the time that it may take."""

    scenario: str = Field(
        "offline",
        min_length=1,
        description="offline: batches, one after another; single_stream: one request at a time, token by token; or another "
        "that `llem plugins` lists",
        examples=["offline", "single_stream"],
    )
    min_window_s: float = Field(
        10.0, ge=0, le=86_400, description="the workload repeats until the window is this long; 60 for publication"
    )
    samplers: list[str] | None = Field(
        None, description="energy samplers to use; null takes every one that works here", min_length=1
    )
    sample_hz: float = Field(20.0, ge=0.1, le=1_000, description="readings per second")
    settle_s: float = Field(1.0, ge=0, le=3_600, description="pause between warm-up and window")
    cpu_tdp_w: float | None = Field(
        None, gt=0, le=10_000, description="rated power of all CPUs together, for the sampler `estimate`"
    )
    residual_memory_mb: float = Field(
        100.0, ge=0, description="device memory in use before the start above which a warning is given (MiB)"
    )


class WarmupConfig(Section):
    """Repeats the workload's first prompts until latency is steady."""

    enabled: bool = Field(True, description="false goes straight to the window; the result says so")
    min_prompts: int = Field(3, ge=1, le=1_000_000, description="at least so many prompts")
    max_prompts: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="at most so many, converged or not; null: 64, or twice the compared batches where they hold more",
    )
    max_s: float = Field(
        120.0,
        gt=0,
        le=86_400,
        description="no batch starts later than so many seconds after the end of the first, converged or not",
    )
    batches: int = Field(3, ge=2, le=1_000, description="how many of the last batches are compared (k)")
    cv_threshold: float = Field(
        0.05,
        gt=0,
        le=10,
        description="they count as steady where their coefficient of variation and their trend (slope x k / mean) are below",
    )

    @model_validator(mode="after")
    def _ordered(self) -> WarmupConfig:
        if self.max_prompts is not None and self.max_prompts < self.min_prompts:
            raise ValueError(f"max_prompts ({self.max_prompts}) is below min_prompts ({self.min_prompts})")
        return self


class BaselineConfig(Section):
    """Power of the machine without the work."""

    enabled: bool = Field(True, description="false leaves idle_w, resident_w and adjusted energy null")
    duration_s: float = Field(
        30.0, gt=0, le=3_600, description="idle power is averaged over so long, before the engine loads"
    )
    resident_s: float = Field(
        5.0, ge=0, le=3_600, description="and over so long with the model loaded; 0 leaves resident_w null"
    )
    cache: bool = Field(True, description="reuse an idle baseline of the same boot, devices and limits")
    max_age_s: float = Field(3_600.0, ge=0, description="the oldest idle baseline that is reused")


class LimitsConfig(Section):
    """The limits at which an experiment is given up. Not part of its identity."""

    identifying: ClassVar[bool] = False

    timeout_s: float = Field(3_600.0, gt=0, description="the whole experiment, from start of the process")
    silence_timeout_s: float = Field(900.0, gt=0, description="without any event from the worker")


class ExperimentConfig(Section):
    """One experiment, whole: what `experiment.json` holds, and what its `config_hash` is taken over.

    `options` is the backend's own section, an instance of the model that the backend's spec names. In YAML and
    JSON it stands under the backend's name. `sections` are those that the scenario brings, by their keys at the top level.
    `needs` are the capabilities that it asks of the engine, by which an engine knows what is coming: they are no part of the document.
    """

    model: ModelConfig
    dataset: DatasetConfig = Field(default_factory=DatasetConfig)
    decoding: DecodingConfig = Field(default_factory=DecodingConfig)
    measurement: MeasurementConfig = Field(default_factory=MeasurementConfig)
    warmup: WarmupConfig = Field(default_factory=WarmupConfig)
    baseline: BaselineConfig = Field(default_factory=BaselineConfig)
    limits: LimitsConfig = Field(default_factory=LimitsConfig)
    backend: str = Field(min_length=1, description="a backend that `llem plugins` lists")
    options: SerializeAsAny[Section]
    sections: dict[str, SerializeAsAny[Section]] = Field(default_factory=dict)
    needs: frozenset[str] = Field(default_factory=frozenset, exclude=True)

    def document(self) -> dict[str, Any]:
        """The experiment as plain data with every default written out, `options` under the backend's name."""
        data = self.model_dump(mode="json")
        data[self.backend] = data.pop("options")
        data.update(data.pop("sections"))
        return data


SECTIONS: dict[str, type[Section]] = {
    "model": ModelConfig,
    "dataset": DatasetConfig,
    "decoding": DecodingConfig,
    "measurement": MeasurementConfig,
    "warmup": WarmupConfig,
    "baseline": BaselineConfig,
    "limits": LimitsConfig,
}
"""The core's sections by the key under which they stand in a study."""
