"""The figures that analyses, comparisons and choices are made over: the metrics that are registered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from llem.plugin_api import METRICS, ConfigError, MetricSpec, closest
from llem_analysis.installed import registry


class _Registered(Mapping[str, MetricSpec]):
    """The metrics of this environment. They are asked for when one is looked up, not when this is imported."""

    def __getitem__(self, name: str) -> MetricSpec:
        return registry()[METRICS][name]

    def __iter__(self) -> Iterator[str]:
        return iter(registry()[METRICS])

    def __len__(self) -> int:
        return len(registry()[METRICS])


METRIC_SPECS: Mapping[str, MetricSpec] = _Registered()
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
"""Figures of every study that are looked at where nobody asks for anything else."""


def main_figures() -> tuple[str, ...]:
    """All that are looked at where nobody asks for anything else: those of every study, and what plugins name as theirs."""
    return (*MAIN, *(name for name, spec in METRIC_SPECS.items() if spec.main and name not in MAIN))


def metric_specs(names: Sequence[str]) -> list[MetricSpec]:
    """Figures by their names.

    Raises:
        ConfigError: there is none of this name, and it names the nearest; or ratios of it mean nothing.
    """
    for name in names:
        if name not in METRIC_SPECS:
            near = closest(name, METRIC_SPECS)
            hint = f"Did you mean `{near}`? " if near else ""
            raise ConfigError(f"there is no figure `{name}`.", remedy=f"{hint}Figures: {', '.join(METRIC_SPECS)}.")
        if METRIC_SPECS[name].scale != "log":
            raise ConfigError(
                f"the figure `{name}` has a linear scale: what is told here are ratios, and those of {METRIC_SPECS[name].label} "
                "mean nothing.",
                remedy=f"See it by llem show STUDY --sort {METRIC_SPECS[name].column}, or export it.",
            )
    return [METRIC_SPECS[name] for name in dict.fromkeys(names)]
