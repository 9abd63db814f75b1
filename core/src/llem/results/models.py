"""The content of `result.json`. Units stand in the names; what was not or could not be measured is null, never 0.

The meaning of every figure is defined in docs/method. Schema versions: `SCHEMA_VERSION` is raised whenever a reader
of the old schema would misread the new one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, ValidationError, model_validator

from llem.results.facts import Facts
from llem.results.writable import writable

SCHEMA_VERSION = 1

Method = Literal["counter", "power", "estimate"]
Scope = Literal["gpu", "module", "cpu", "dram", "host"]


def _plain(value: Any) -> Any:
    return value if isinstance(value, BaseModel) else writable(value)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, protected_namespaces=(), defer_build=True)

    @model_validator(mode="wrap")
    @classmethod
    def _never_lost_for_a_text(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """A file's name or an engine's text that UTF-8 cannot hold is written out, and no measurement is given up for it."""
        try:
            return handler(data)
        except ValidationError as error:
            found = [e for e in error.errors() if e["type"] in ("string_unicode", "finite_number")]
            if isinstance(data, BaseModel) or not isinstance(data, Mapping) or not found:
                raise
        plain: dict[Any, Any] = {key: _plain(value) for key, value in dict(data).items()}
        for key in {e["loc"][0] for e in found if e["type"] == "finite_number"}:
            if isinstance(plain[key], Mapping):
                plain[key] = {name: value for name, value in plain[key].items() if value is not None}
        return handler(plain)


class Identity(_Part):
    """The experiment and the study that this is."""

    config_hash: str = Field(description="SHA-256 over what defines the experiment; the same for all its cycles")
    study: str | None = None
    cycle: int = Field(1, ge=1, description="which repetition, from 1")
    position: int = Field(1, ge=1, description="place in the study's order, from 1")
    point: dict[str, Any] = Field(default_factory=dict, description="the swept keys with their values here")


class Phase(_Part):
    """One phase with its edges on the worker's monotonic clock."""

    name: str
    start_ns: int
    end_ns: int


class ResultWarning(_Part):
    """Something a reader of the figures must know."""

    code: str = Field(description="stable word, such as `residual_gpu_memory`")
    message: str


class DeviceEnergy(_Part):
    """Energy of one device over the measured window."""

    device: str
    name: str
    scope: Scope
    sampler: str
    method: Method = Field(description="how energy_j came about")
    energy_j: float | None = Field(description="joules over the window by `method`")
    mean_w: float | None
    counter_j: float | None = Field(None, description="by the hardware's counter, where it has one")
    power_j: float | None = Field(None, description="by integration of sampled power, where it reports power")
    disagreement: float | None = Field(
        None,
        description="|counter - power| / counter as both were read, believed or not; by power where the counter is 0",
    )
    idle_w: float | None = None
    resident_w: float | None = None
    adjusted_j: float | None = Field(None, description="energy_j - idle_w x window")
    samples: int = Field(0, description="readings inside the window")
    power_field: str | None = Field(None, description="name of the power field that was read: instant or averaged")
    unreliable: bool = False
    contained_in: str | None = Field(
        None, description="device whose figure already includes this one; never added to a total"
    )
    same_as: str | None = Field(
        None,
        description="device that is seen to read the very same counter or sensor; this one is never added to a total",
    )
    update_period_s: float | None = Field(
        None,
        description="how often the value that energy_j rests on was seen to change; null where it changed at each reading",
    )
    doubts: list[ResultWarning] = Field(
        default_factory=list, description="why a figure that its meter gave was not believed"
    )
    note: str | None = None


class EnergyFigure(_Part):
    """A total over devices of one scope and one kind of method; measured and estimated are never added."""

    scope: Scope
    method: Method
    samplers: list[str]
    devices: list[str]
    energy_j: float | None = Field(description="null where an imported result does not tell it")
    mean_w: float | None = Field(description="likewise")
    adjusted_j: float | None = None
    j_per_output_token: float | None = None
    j_per_token: float | None = Field(None, description="over input and output tokens")
    j_per_request: float | None = None
    unreliable: bool = False


class StageEnergy(_Part):
    """Prefill or decode of all batches of the window."""

    duration_s: float | None = Field(description="how much of the window it took; null where an import has none")
    energy_j: float | None = Field(None, description="over the headline's devices; null where one of them is not told")
    devices_j: dict[str, float] = Field(
        default_factory=dict, description="by device, where the meter is fast enough to tell the stage apart"
    )


class Stages(_Part):
    """The window's energy by stage. A batch prefills from its release to its first token, and decodes to its last."""

    prefill: StageEnergy | None = None
    decode: StageEnergy | None = None
    reason: str | None = Field(None, description="why a figure is missing")


class EnergyBreakdown(_Part):
    """All energy of the measured window. `headline` is that of the devices that did the work: GPUs, or CPUs that are measured;
    where these have no meter the module's, or the host's; at last an estimate of the CPUs."""

    window_s: float | None = Field(description="null where an imported result does not tell it")
    headline: EnergyFigure | None = Field(None, description="null where nothing was measured")
    totals: list[EnergyFigure] = Field(default_factory=list, description="one for each scope and method")
    devices: list[DeviceEnergy] = Field(default_factory=list)
    phases_j: dict[str, dict[str, float]] = Field(
        default_factory=dict, description="phase to device to joules, where it could be told"
    )
    stages: Stages | None = Field(None, description="prefill and decode apart")


class Tokens(_Part):
    """Tokens of the window. Input without padding; output up to and including the stop token."""

    requests: int | None = Field(description="null where an imported result does not tell it")
    input: int | None = Field(description="likewise")
    output: int | None = Field(description="likewise")


class Throughput(_Part):
    """Over the measured window."""

    tokens_per_s: float | None = Field(description="output tokens per second")
    total_tokens_per_s: float | None = Field(description="input and output tokens per second")
    requests_per_s: float | None


class Distribution(_Part):
    """Of one quantity over requests (or gaps, or batches): percentiles by linear interpolation. One of the tail is null where
    fewer than ten values lie beyond it."""

    n: int | None = Field(description="null where an imported result does not tell it")
    mean: float | None = Field(description="likewise")
    std: float | None = Field(description="sample standard deviation; null for n < 2")
    min: float | None = Field(description="null where an imported result does not tell it")
    max: float | None = Field(description="likewise")
    p50: float | None = Field(description="null where an imported result does not tell it")
    p90: float | None = Field(description="null for n < 100")
    p95: float | None = Field(description="null for n < 200")
    p99: float | None = Field(description="null for n < 1,000")


class Latency(_Part):
    """Seconds. Null where the engine gives no time for each token."""

    ttft_s: Distribution | None = Field(None, description="first token - arrival")
    itl_s: Distribution | None = Field(None, description="gaps between successive tokens of a request")
    tpot_s: Distribution | None = Field(
        None, description="(last - first) / (output tokens - 1), requests of 2 tokens or more"
    )
    e2e_s: Distribution | None = Field(None, description="last - arrival")
    batch_s: Distribution | None = Field(None, description="duration of the engine's batches")


class Batching(_Part):
    """Number of requests that ran together in the window."""

    requested_size: int | None = Field(
        None,
        description="the most at once that the configuration asks for and the workload can fill; null where it says nothing",
    )
    mean_size: float | None = Field(None, description="on average; null where it was not seen")
    fill_share: float | None = Field(None, description="mean_size / requested_size")
    source: Literal["batches", "engine", "requests"] | None = Field(
        None, description="of mean_size: the batches sent, the engine's own count, or its requests' starts and ends"
    )
    batches: int = Field(description="groups of requests that were sent")


class Memory(_Part):
    """MiB."""

    peak_memory_mb: float | None = Field(
        None, description="most device memory allocated in the window by the experiment's processes"
    )
    peak_memory_source: Literal["allocator", "nvml"] | None = None
    model_memory_mb: float | None = Field(None, description="allocated right after load")
    device_memory_mb: float | None = Field(None, description="NVML's used memory, reserved pools included")
    host_peak_rss_mb: float | None = Field(None, description="most resident host memory of the worker so far")


class Flops(_Part):
    """Arithmetic that the window's tokens asked for, by formula: 2 x active parameters x tokens + attention."""

    prefill: float
    decode: float
    total: float
    per_s: float
    active_parameters: int
    mfu: float | None = Field(None, description="per_s / the devices' peak, where it is known")
    peak_per_s: float | None = None


class Warmup(_Part):
    """The outcome of warm-up."""

    enabled: bool
    converged: bool | None = None
    prompts: int = 0
    batches: int = 0
    cv: float | None = Field(None, description="coefficient of variation of the last k batch latencies")
    power_cv: float | None = Field(None, description="of their mean power, where it is measured")
    trend: float | None = Field(None, description="slope of the last k batch latencies x k / their mean")
    power_trend: float | None = Field(None, description="of their mean power, where it is measured")
    stopped_by: Literal["max_prompts", "max_s"] | None = Field(None, description="the limit that ended it unconverged")
    duration_s: float | None = None


class Baseline(_Part):
    """Idle power, measured or cached."""

    enabled: bool
    source: Literal["measured", "cached"] | None = None
    duration_s: float | None = None
    age_s: float | None = Field(None, description="of a cached baseline")
    idle_w: dict[str, float] = Field(default_factory=dict, description="by device")
    resident_w: dict[str, float] = Field(default_factory=dict, description="by device, with the model loaded")
    doubtful: dict[str, str] = Field(
        default_factory=dict, description="device to why its idle_w serves no adjusted energy, which is then null"
    )


class OtherLoad(_Part):
    """CPU time that others used on the machine, as a share of elapsed time x cores. Null where it cannot be told."""

    cores: int | None = None
    window_share: float | None = Field(None, description="of others over the measured window")
    baseline_share: float | None = Field(None, description="over the idle baseline, also of a cached one")
    resident_share: float | None = Field(None, description="over the resident baseline")
    window_cpu_s: float | None = Field(None, description="CPU seconds of others in the window")
    own_cpu_s: float | None = Field(
        None, description="CPU seconds of the experiment in the window: worker, sampler, llem"
    )
    resolution_share: float | None = Field(None, description="share that the kernel's rounding alone can make")
    stolen_share: float | None = Field(None, description="share that other virtual machines took in the window")
    busiest_s: dict[str, float] = Field(
        default_factory=dict,
        description="CPU seconds of the busiest other programs by name, as far as they can be seen",
    )
    reason: str | None = Field(None, description="why a share is missing")


class DeviceThermal(_Part):
    """One device over the measured window."""

    device: str
    temperature_start_c: float | None = None
    temperature_end_c: float | None = None
    temperature_max_c: float | None = None
    gpu_clock_mean_mhz: float | None = None
    memory_clock_mean_mhz: float | None = None
    power_limit_w: float | None = None
    throttle_reasons: list[str] = Field(default_factory=list)


class SamplerReport(_Part):
    """The outcome of one sampler: used, or the reason why not."""

    name: str
    used: bool
    reason: str | None = Field(None, description="why it was not used")
    devices: list[str] = Field(default_factory=list)
    requested_hz: float | None = None
    achieved_hz: float | None = None
    readings: int = 0
    longest_gap_s: float | None = None
    late: int = Field(0, description="readings more than half a period late")


class Failure(_Part):
    """The reason why there are no figures."""

    type: str = Field(
        description="class of the error, or `Crash`, `Timeout`, `Silence`, `Interrupted`, `OutOfMemory` …"
    )
    message: str
    phase: str | None = Field(None, description="the phase it happened in")
    exit_code: int | None = None
    signal: str | None = None
    log_tail: str = ""


class DatasetReport(_Part):
    """The prompts that were sent."""

    name: str
    provenance: str
    sha256: str
    n: int
    available: int | None = Field(
        None, description="prompts that the dataset holds, of which n were sent; null where it has no number"
    )


class ModelReport(_Part):
    """The model that answered."""

    source: str
    revision: str | None = None
    dtype: str | None = None
    parameters: int | None = None
    active_parameters: int | None = None
    tokenizer: str | None = None
    effective: dict[str, Any] = Field(default_factory=dict, description="settings as the engine took them")


class Sample(_Part):
    """One request of the window's first pass as text, to see what the model wrote."""

    index: int = Field(description="of the prompt in the dataset")
    prompt: str | None = Field(
        description="its first 500 characters; null where there are only token ids and no tokenizer"
    )
    output: str | None = Field(description="likewise, special tokens left out; null where the engine cannot tell")


class ExperimentResult(_Part):
    """One experiment, done or failed."""

    schema_version: int = SCHEMA_VERSION
    status: Literal["done", "failed"]
    identity: Identity
    config: dict[str, Any]
    work: Literal["fixed_length", "natural_length"]
    scenario: str
    started_at: str = Field(description="UTC, ISO 8601")
    ended_at: str
    phases: list[Phase] = Field(default_factory=list)
    passes: int | None = Field(None, description="how often the workload was repeated to fill the window")
    energy: EnergyBreakdown | None = None
    tokens: Tokens | None = None
    throughput: Throughput | None = None
    latency: Latency | None = None
    batching: Batching | None = None
    memory: Memory | None = None
    flops: Flops | None = None
    engine_metrics: dict[str, float] = Field(
        default_factory=dict,
        description="what the engine counted itself over the window; empty where it counts nothing",
    )
    scenario_metrics: dict[str, float | None] = Field(
        default_factory=dict,
        description="what the scenario worked out besides; empty where it has no figures of its own",
    )
    warmup: Warmup | None = None
    baseline: Baseline | None = None
    other_load: OtherLoad | None = None
    thermal: list[DeviceThermal] = Field(default_factory=list)
    samplers: list[SamplerReport] = Field(default_factory=list)
    model: ModelReport | None = None
    dataset: DatasetReport | None = None
    samples: list[Sample] = Field(default_factory=list, description="a few answers as text")
    environment: dict[str, Any] = Field(default_factory=dict)
    facts: Facts | None = Field(None, description="null in results of earlier versions, and of what never began")
    warnings: list[ResultWarning] = Field(default_factory=list)
    failure: Failure | None = None

    def _repr_html_(self) -> str:
        """The display in a notebook: the main figures with their units, warnings, or why it failed."""
        from llem.results.notebook import shown

        return shown("result_html", self)
