"""The figures that analyses, comparisons and choices are made over: what they are called, their unit, which way is better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from llem.plugin_api import ConfigError


@dataclass(frozen=True)
class FigureSpec:
    """One figure of a result.

    Attributes:
        name: as `--figure` takes it; column: in `results.parquet`.
        label: for people, without unit; noun phrase that fits into a sentence.
        better: which direction is.
        energy: it comes from a meter, so that its method counts (measured or estimated).
    """

    name: str
    column: str
    label: str
    unit: str
    better: Literal["lower", "higher"]
    energy: bool = False


_LATENCIES = {
    "ttft": "time to first token",
    "itl": "inter-token latency",
    "tpot": "time per output token",
    "e2e": "end-to-end latency",
}
_PERCENTILES = {50: "median", 90: "90th percentile", 95: "95th percentile", 99: "99th percentile"}

_ALL = (
    FigureSpec(
        "j_per_output_token", "energy.headline.j_per_output_token", "energy per output token", "J", "lower", True
    ),
    FigureSpec("j_per_token", "energy.headline.j_per_token", "energy per token", "J", "lower", True),
    FigureSpec("j_per_request", "energy.headline.j_per_request", "energy per request", "J", "lower", True),
    FigureSpec("mean_w", "energy.headline.mean_w", "mean power", "W", "lower", True),
    FigureSpec("tokens_per_s", "throughput.tokens_per_s", "throughput", "tokens/s", "higher"),
    FigureSpec("requests_per_s", "throughput.requests_per_s", "request rate", "requests/s", "higher"),
    *(
        FigureSpec(f"{name}_p{p}_s", f"latency.{name}_s.p{p}", f"{label} ({_PERCENTILES[p]})", "s", "lower")
        for name, label in _LATENCIES.items()
        for p in _PERCENTILES
    ),
    FigureSpec("peak_memory_mb", "memory.peak_memory_mb", "peak device memory", "MiB", "lower"),
    FigureSpec("device_memory_mb", "memory.device_memory_mb", "used device memory", "MiB", "lower"),
    FigureSpec("host_peak_rss_mb", "memory.host_peak_rss_mb", "peak host memory", "MiB", "lower"),
)

FIGURES: dict[str, FigureSpec] = {spec.name: spec for spec in _ALL}
"""Every figure by name."""

MAIN = (
    "j_per_output_token",
    "tokens_per_s",
    "ttft_p50_s",
    "itl_p50_s",
    "tpot_p50_s",
    "peak_memory_mb",
    "host_peak_rss_mb",
)
"""Figures that are looked at where nobody asks for anything else."""


def figure_specs(names: Sequence[str]) -> list[FigureSpec]:
    """Figures by their names. Raises ConfigError, which names the nearest one that there is."""
    import difflib

    for name in names:
        if name not in FIGURES:
            near = difflib.get_close_matches(name, FIGURES, n=1)
            hint = f"Did you mean `{near[0]}`? " if near else ""
            raise ConfigError(f"there is no figure `{name}`.", remedy=f"{hint}Figures: {', '.join(FIGURES)}.")
    return [FIGURES[name] for name in dict.fromkeys(names)]
