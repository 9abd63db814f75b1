"""A figure over the cycles of one configuration: mean, deviation and interval, where they may be brought together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from llem_analysis import intervals
from llem_analysis.intervals import Interval
from llem_analysis.row_environments import are_alike
from llem_analysis.weighed_rows import weighed

Rows = Iterable[Mapping[str, Any]]

METRIC_COLUMNS: dict[str, str] = {
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
    "peak_memory_mb": "memory.peak_memory_mb",
    "host_peak_rss_mb": "memory.host_peak_rss_mb",
}
"""Metric to its column in `results.parquet`."""

_ENERGY = frozenset({"j_per_output_token", "j_per_request", "energy_j", "adjusted_j", "mean_w"})


@dataclass(frozen=True)
class MetricSummary:
    """One quantity over the cycles that have it.

    Attributes:
        values: one for each cycle, at least one.
        cycles: which cycles they are of.
    """

    values: tuple[float, ...]
    cycles: tuple[int, ...]

    @property
    def n(self) -> int:
        """Number of cycles that have it."""
        return len(self.values)

    @property
    def by_cycle(self) -> dict[int, float]:
        """Cycle to value, as comparisons take it."""
        return dict(zip(self.cycles, self.values, strict=True))

    @cached_property
    def mean(self) -> float:
        """Arithmetic mean."""
        return intervals.mean(self.values)

    @cached_property
    def sd(self) -> float | None:
        """Sample standard deviation, None below two cycles."""
        return intervals.sd(self.values)

    @cached_property
    def interval(self) -> Interval | None:
        """The 95 % interval of the mean that is shown: t below 6 cycles, bootstrap from there on; None below 3."""
        return intervals.interval(self.values)


def column_summary(rows: Rows, column: str, *, energy: bool, of: Sequence[str] = ()) -> MetricSummary | None:
    """A column of numbers over rows that are done; None where none has it, or where they cannot be averaged.

    That is where they ran in unlike environments, where `is_boundless`, and where it is `energy` and their methods differ. What warnings
    void does not count.
    """
    known = [weighed(row) for row in rows]
    found = [row for row in known if row.get(column) is not None]
    kinds = {energy_kind(row) for row in found if energy}
    if not found or not are_alike(found) or len(kinds) > 1 or is_boundless(known, column, of):
        return None
    return MetricSummary(tuple(float(row[column]) for row in found), tuple(int(row.get("cycle") or 1) for row in found))


def is_boundless(rows: Rows, column: str, of: Sequence[str]) -> bool:
    """True where a run has no value of a column though all is told that it is computed `of`, such as energy over no good token.

    The value is beyond any number then, and a mean of the runs that have one would flatter. Rows are without what warnings void.
    """
    return any(row.get(column) is None and all(row.get(name) is not None for name in of) for row in rows if of)


def is_energy(name: str) -> bool:
    """True for one of `METRIC_COLUMNS` that comes from a meter, so that its method counts."""
    return name in _ENERGY


def energy_kind(row: Mapping[str, Any]) -> tuple[str | None, str] | None:
    """Scope and method of a row's energy; None where it has none."""
    method = row.get("energy.headline.method")
    return None if method is None else (row.get("energy.headline.scope"), method)
