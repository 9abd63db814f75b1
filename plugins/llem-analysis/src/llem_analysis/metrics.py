"""The metrics that llem-analysis registers: quantities of every result, by the columns of `results.parquet` that hold them."""

from __future__ import annotations

from typing import Literal

from llem.plugin_api import API_VERSION, MetricSpec

_ENERGY = (
    ("j_per_output_token", "energy per output token", "J", "energy of the window over its output tokens"),
    ("j_per_token", "energy per token", "J", "energy of the window over its input and output tokens"),
    ("j_per_request", "energy per request", "J", "energy of the window over its requests"),
    ("mean_w", "mean power", "W", "energy of the window over its length"),
)
_THROUGHPUT = (
    ("tokens_per_s", "throughput", "tokens/s", "output tokens of the window over its length"),
    ("requests_per_s", "request rate", "requests/s", "requests of the window over its length"),
)
_LATENCY = {
    "ttft": ("time to first token", "from the release of a request to its first token"),
    "itl": ("inter-token latency", "between two tokens of a request"),
    "tpot": ("time per output token", "from a request's first token to its last, over the tokens after the first"),
    "e2e": ("end-to-end latency", "from the release of a request to its last token"),
}
_PERCENTILES = {50: "median", 90: "90th percentile", 95: "95th percentile", 99: "99th percentile"}
_MEMORY = (
    ("peak_memory_mb", "peak device memory", "the most device memory that the experiment allocated in the window"),
    ("device_memory_mb", "used device memory", "memory in use on the devices, reserved pools included"),
    ("host_peak_rss_mb", "peak host memory", "the most resident host memory of the worker"),
)


def metrics() -> list[MetricSpec]:
    """All of them, in the order in which people read them."""
    return [
        *(
            _metric(name, f"energy.headline.{name}", label, unit, what, energy=True)
            for name, label, unit, what in _ENERGY
        ),
        *(
            _metric(name, f"throughput.{name}", label, unit, what, better="higher")
            for name, label, unit, what in _THROUGHPUT
        ),
        *(
            _metric(f"{name}_p{p}_s", f"latency.{name}_s.p{p}", f"{label} ({percentile})", "s", f"{what}: {percentile}")
            for name, (label, what) in _LATENCY.items()
            for p, percentile in _PERCENTILES.items()
        ),
        *(_metric(name, f"memory.{name}", label, "MiB", what) for name, label, what in _MEMORY),
    ]


def _metric(
    name: str,
    column: str,
    label: str,
    unit: str,
    summary: str,
    *,
    better: Literal["lower", "higher"] = "lower",
    energy: bool = False,
) -> MetricSpec:
    return MetricSpec(
        name=name,
        api_version=API_VERSION,
        summary=summary,
        label=label,
        unit=unit,
        better=better,
        of=(column,),
        energy=energy,
    )
