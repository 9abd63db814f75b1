"""The columns of a result that an import may fill, with their units."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product

from llem.plugin_api import ConfigError, closest
from llem_analysis.metric_names import METRIC_SPECS

_FAMILIES = ("ttft_s", "itl_s", "tpot_s", "e2e_s", "batch_s")
_MOMENTS = ("mean", "std", "min", "max", "p50", "p90", "p95", "p99")
_MEMORY = ("peak_memory_mb", "model_memory_mb", "device_memory_mb", "host_peak_rss_mb")


def _columns() -> Iterator[tuple[str, str]]:
    yield "energy.window_s", "s"
    yield "energy.headline.energy_j", "J"
    yield "energy.headline.mean_w", "W"
    yield "energy.headline.adjusted_j", "J"
    yield "energy.headline.j_per_output_token", "J/token"
    yield "energy.headline.j_per_token", "J/token"
    yield "energy.headline.j_per_request", "J/request"
    for stage in ("prefill", "decode"):
        yield f"energy.stages.{stage}.energy_j", "J"
        yield f"energy.stages.{stage}.duration_s", "s"
    for counted in ("requests", "input", "output"):
        yield f"tokens.{counted}", ""
    yield "throughput.tokens_per_s", "token/s"
    yield "throughput.total_tokens_per_s", "token/s"
    yield "throughput.requests_per_s", "request/s"
    for family, moment in product(_FAMILIES, _MOMENTS):
        yield f"latency.{family}.{moment}", "s"
    for family in _FAMILIES:
        yield f"latency.{family}.n", ""
    for memory in _MEMORY:
        yield f"memory.{memory}", "MiB"


UNITS: Mapping[str, str] = dict(_columns())
"""Column to llem's unit of it; counts have none."""

ENERGY = tuple(name for name in UNITS if name.startswith("energy.") and name != "energy.window_s")
"""Columns that say something of energy, so that how it was told must be said too."""

SHORT: Mapping[str, str] = {
    "energy_j": "energy.headline.energy_j",
    "window_s": "energy.window_s",
    "requests": "tokens.requests",
    "input_tokens": "tokens.input",
    "output_tokens": "tokens.output",
    "total_tokens_per_s": "throughput.total_tokens_per_s",
}
"""Shorter names for columns that are no metric."""


def column_of(name: str, where: str) -> str:
    """The column that a mapping's name stands for: a column's own name, a metric's, or a shorter one.

    Raises:
        ConfigError: there is no such metric; it names the nearest.
    """
    short = {**SHORT, **{n: s.column for n, s in METRIC_SPECS.items() if s.column in UNITS}}
    column = short.get(name, name)
    if column in UNITS:
        return column
    near = closest(name, [*short, *UNITS])
    hint = f"Did you mean `{near}`? " if near else ""
    raise ConfigError(
        f"there is no metric `{name}` that an import can fill.",
        where=where,
        remedy=f"{hint}Metrics: {', '.join(short)}; or a column of results.parquet such as latency.ttft_s.mean.",
    )
