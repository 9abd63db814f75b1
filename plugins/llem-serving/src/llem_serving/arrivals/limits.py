"""The bound on a load's size."""

from __future__ import annotations

from llem.plugin_api import ConfigError

MOST_ARRIVALS = 50_000_000
"""Arrivals of one load, which are all held in memory: 400 MB."""


def check_count(count: float, rate_rps: float, span_s: float) -> None:
    """Refuse a load of more than `MOST_ARRIVALS`.

    Args:
        count: arrivals that are expected, or that were drawn.
        rate_rps: mean rate that was asked for (requests/s).
        span_s: how long requests arrive (s).

    Raises:
        ConfigError: there are more.
    """
    if count > MOST_ARRIVALS:
        raise ConfigError(
            f"{rate_rps:,.6g} requests/s over {span_s:,.6g} s are about {count:,.0f} arrivals; at most {MOST_ARRIVALS:,} "
            "can be held.",
            where="load",
            remedy="Lower the rate, or shorten load.ramp_s, load.steady_s, load.duration_s or load.drain_s.",
        )
