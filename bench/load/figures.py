"""The benchmark's figures out of its rows."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from bench.load.load import ARRIVALS
from bench.load.rows import Row
from bench.report import Figure

_SHOWN = {
    "rate_rps": ("arrived_rps", "request/s"),
    "machine_ms": ("bare_sleep_p99_ms", "ms"),
    "release_p99_ms": ("release_error_p99_ms", "ms"),
    "grid_p99_ms": ("grid_error_p99_ms", "ms"),
    "gaps_ks": ("gaps_ks_distance", "1"),
    "ttft_error_p50_ms": ("ttft_error_p50_ms", "ms"),
    "ttft_error_p99_ms": ("ttft_error_p99_ms", "ms"),
    "itl_error_p50_ms": ("itl_error_p50_ms", "ms"),
    "itl_error_p99_ms": ("itl_error_p99_ms", "ms"),
    "tpot_error_p50_ms": ("tpot_error_p50_ms", "ms"),
    "tpot_error_p99_ms": ("tpot_error_p99_ms", "ms"),
}
"""Columns of rows, and the end of a figure's name and its unit for each."""


def figures_of(rows: Sequence[Row], engine_rps: float, server_rps: float) -> dict[str, Figure]:
    """The figures: of llem at the engine first, then of each tool at the server.

    Args:
        rows: of all runs.
        engine_rps: rate that llem was asked for at the engine.
        server_rps: rate that the tools are compared at.
    """
    engine = [row for row in rows if row.way == "packets"]
    repeats = sorted({row.repeat for row in engine})
    worst = [max(row.release_p99_ms or 0.0 for row in engine if row.repeat == repeat) for repeat in repeats]
    figures = {
        "release_error_p99_ms": Figure.of(worst, "ms"),
        "rate_rps": Figure(engine_rps, "request/s", len(engine)),
    }
    for arrival in ARRIVALS:
        figures |= _of(f"engine_{arrival}", [row for row in engine if row.arrival == arrival])
    for tool in dict.fromkeys(row.tool for row in rows):
        own = [row for row in rows if row.tool == tool and row.way == "http" and row.words == 1]
        for arrival in ARRIVALS:
            figures |= _of(f"{tool}_{arrival}", [r for r in own if (r.arrival, r.asked_rps) == (arrival, server_rps)])
        climbed = [row for row in own if row.asked_rps > server_rps]
        if climbed:
            held = max((row.asked_rps for row in own if row.is_held), default=0.0)
            figures[f"{tool}_highest_rate_held_rps"] = Figure(held, "request/s", len(climbed))
        ratios = [row.tpot_ratio for row in rows if row.tool == tool and row.words > 1 and row.tpot_ratio is not None]
        if ratios:
            figures[f"{tool}_other_tokenizer_tpot_ratio"] = Figure.of(ratios, "1")
    return figures


def _of(prefix: str, rows: Sequence[Row]) -> dict[str, Figure]:
    found: dict[str, Figure] = {}
    for column, (name, unit) in _SHOWN.items():
        values = [value for row in rows if (value := getattr(row, column)) is not None]
        if values:
            found[f"{prefix}_{name}"] = Figure.of(values, unit)
    critical = [row.ks_critical for row in rows if row.ks_critical is not None]
    if critical:
        found[f"{prefix}_ks_critical"] = Figure(statistics.fmean(critical), "1", len(critical))
    return found
