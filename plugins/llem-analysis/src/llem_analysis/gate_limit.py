"""The limit of a gate: how far a metric may go in the direction in which it becomes worse."""

from __future__ import annotations

import math

from llem.plugin_api import ConfigError, MetricSpec


def limit_of(spec: MetricSpec, max_increase: float | None, max_decrease: float | None) -> float:
    """The limit as a ratio of candidate to baseline.

    Raises:
        ConfigError: it is not one limit, in the direction in which the metric becomes worse.
    """
    right, wrong = (
        ("--max-increase", "--max-decrease") if spec.better == "lower" else ("--max-decrease", "--max-increase")
    )
    given, other = (max_increase, max_decrease) if spec.better == "lower" else (max_decrease, max_increase)
    less_or_more = "less" if spec.better == "lower" else "more"
    if given is None or other is not None:
        said = f"{wrong} limits what is welcome." if other is not None else "there is no limit."
        raise ConfigError(
            f"of {spec.label} {less_or_more} is better: {said}", remedy=f"Give {right} alone, such as {right} 3%."
        )
    ratio = 1 + given if spec.better == "lower" else 1 - given
    if not math.isfinite(ratio) or ratio <= 0:
        raise ConfigError(f"{right} {given:g} leaves nothing of {spec.label}.", remedy="Give a share such as 3%.")
    return ratio


def rule_of(spec: MetricSpec, limit: float, reference: str | None) -> str:
    """The limit in words; `reference` is what values are in ratio to, None where they are judged by themselves."""
    what = spec.label if reference is None else f"{spec.label} in ratio to {reference}"
    share = f"{abs(limit - 1) * 100:.6g} %"
    if limit == 1:
        return f"{what} must not {'rise' if spec.better == 'lower' else 'fall'}"
    if (limit > 1) == (spec.better == "lower"):
        return f"{what} may {'rise' if limit > 1 else 'fall'} by {share} at the most"
    return f"{what} has to {'rise' if limit > 1 else 'fall'} by {share} at the least"
