"""Requests that fail: a system that turns many away keeps up with its arrivals, and serves no load."""

from __future__ import annotations

MOST_FAILED = 0.05
"""Share of the requests that end from which on those that fail leave no steady state."""


def failing(failures: int, completions: int) -> str | None:
    """The reason against a steady state, a clause; None where fewer than `MOST_FAILED` of the requests that ended have failed."""
    if not failures or failures < MOST_FAILED * completions:
        return None
    return f"{failures:,} of {completions:,} requests that ended failed ({failures / completions:.1%})"
