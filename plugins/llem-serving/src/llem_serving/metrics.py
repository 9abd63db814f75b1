"""The metrics of a load, as columns of results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from llem.plugin_api import API_VERSION, MetricSpec

_ENERGY, _GOOD = "energy.headline.energy_j", "scenario_metrics.good_tokens"


def specs() -> list[MetricSpec]:
    """All of them."""
    return [
        MetricSpec(
            name="j_per_good_token",
            api_version=API_VERSION,
            summary="energy of the window over the output tokens of requests that kept every objective (slo)",
            label="energy per good token",
            unit="J/token",
            better="lower",
            of=(_ENERGY, _GOOD),
            value="llem_serving.metrics:j_per_good_token",
            energy=True,
            main=True,
            shown=True,
        ),
        _told(
            "goodput_rps",
            "requests per second that kept every objective",
            "goodput",
            "request/s",
            "higher",
            main=True,
        ),
        _told("offered_rps", "requests per second that arrived", "offered rate", "request/s", "higher"),
        _told("achieved_rps", "requests per second that were answered", "achieved rate", "request/s", "higher"),
        _told(
            "attainment",
            "share of requests that kept every objective",
            "attainment",
            "1",
            "higher",
            "linear",
            shown=True,
        ),
        _told("in_flight_mean", "requests under way, on average over the window", "requests in flight", "1", "lower"),
    ]


def _told(
    name: str,
    summary: str,
    label: str,
    unit: str,
    better: Literal["lower", "higher"],
    scale: Literal["log", "linear"] = "log",
    *,
    main: bool = False,
    shown: bool = False,
) -> MetricSpec:
    return MetricSpec(
        name=name,
        api_version=API_VERSION,
        summary=summary,
        label=label,
        unit=unit,
        better=better,
        of=(f"scenario_metrics.{name}",),
        scale=scale,
        main=main,
        shown=shown,
    )


def j_per_good_token(row: Mapping[str, Any]) -> float | None:
    """Window energy over good tokens (METHOD, "SLO"); None without energy, and where no token was good: then the configuration has
    none either, since a mean of its other cycles would flatter it."""
    energy_j, tokens = row[_ENERGY], row[_GOOD]
    return energy_j / tokens if energy_j is not None and tokens else None
