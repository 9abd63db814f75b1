"""Means over cycles and their intervals, worked out anew and held against a bundle's `summary.json`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from llem.plugin_api import RESULT, ResultError, read_object
from llem_bundle import means
from llem_bundle.figures import Figure, at, held, number

SUMMARY = "summary.json"
COLUMNS = {
    "tokens_per_s": "throughput.tokens_per_s",
    "requests_per_s": "throughput.requests_per_s",
    "j_per_output_token": "energy.headline.j_per_output_token",
    "j_per_request": "energy.headline.j_per_request",
    "energy_j": "energy.headline.energy_j",
    "adjusted_j": "energy.headline.adjusted_j",
    "mean_w": "energy.headline.mean_w",
    "window_s": "energy.window_s",
    "ttft_p50_s": "latency.ttft_s.p50",
    "tpot_p50_s": "latency.tpot_s.p50",
    "itl_p50_s": "latency.itl_s.p50",
    "e2e_p50_s": "latency.e2e_s.p50",
}
"""Figure to where it stands in a result. Memory is in none of a bundle's raw tables, and is not verified."""

_MOST_RESAMPLES = 100_000
_MOST_CYCLES = 1_000


def check_means(folder: Path) -> Iterator[Figure]:
    """Every mean of every configuration. Raises ResultError where the summary cannot be read."""
    if not (folder / SUMMARY).exists():
        return
    configurations = read_object(folder / SUMMARY, "summary").get("configurations")
    for configuration in configurations if isinstance(configurations, list) else ():
        directories = at(configuration, "directories")
        results = [_result(folder, str(name)) for name in directories] if isinstance(directories, list) else []
        by_cycle = {at(one, "identity.cycle"): one for one in results if one.get("status") == "done"}
        of = f"mean over cycles of {str(at(configuration, 'config_hash'))[:12]}"
        for name, stated in (at(configuration, "figures") or {}).items():
            if name in COLUMNS and stated is not None:
                yield from _figure(of, name, stated, by_cycle)


def _result(folder: Path, name: str) -> dict[str, Any]:
    from llem.plugin_api import inside

    return read_object(inside(folder, name) / RESULT, "result")


def _figure(of: str, name: str, stated: Any, by_cycle: Mapping[Any, Mapping[str, Any]]) -> Iterator[Figure]:
    cycles = at(stated, "cycles")
    found = [number(at(by_cycle.get(cycle), COLUMNS[name])) for cycle in cycles] if isinstance(cycles, list) else []
    values = [value for value in found if value is not None]
    if not values or len(values) != len(found) or len(values) > _MOST_CYCLES:
        yield held(of, name, at(stated, "mean"), None, note="the cycles that it names do not all have it")
        return
    yield held(of, f"{name}.n", at(stated, "n"), float(len(values)), 0.0)
    yield held(of, f"{name}.mean", at(stated, "mean"), means.mean_of(values))
    if (deviation := at(stated, "sd")) is not None:
        yield held(of, f"{name}.sd", deviation, means.deviation_of(values))
    interval = at(stated, "interval")
    if interval is None:
        return
    method, resamples, seed = (at(interval, key) for key in ("method", "resamples", "seed"))
    if len(values) < 2:
        low, high = None, None
    elif method == "t":
        low, high = means.t_interval(values)
    elif (
        method == "bootstrap"
        and isinstance(resamples, int)
        and isinstance(seed, int)
        and 0 < resamples <= _MOST_RESAMPLES
    ):
        low, high = means.bootstrap_interval(values, resamples, seed)
    else:
        raise ResultError(f"`{str(method)[:50]}` is no interval that can be drawn again.", where=SUMMARY)
    # An end of an interval may lie near 0; what counts is how far it is from the mean.
    give = 1e-6 * abs(means.mean_of(values)) + 1e-12
    for end, recomputed in (("low", low), ("high", high)):
        yield held(
            of, f"{name}.interval.{end}", at(interval, end), recomputed, give if recomputed is not None else None
        )
