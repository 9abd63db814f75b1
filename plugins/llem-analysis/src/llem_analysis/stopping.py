"""The rule that stops repeating an experiment, once an interval is narrow enough (`execution.until`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llem.plugin_api import METRICS, ExperimentResult, Level, SpecRegistry, result_row
from llem_analysis import row_environments as environments
from llem_analysis.metric_summary import METRIC_COLUMNS, MetricSummary, column_summary, is_boundless, is_energy
from llem_analysis.registered_metrics import computed_columns
from llem_analysis.weighed_rows import weighed

if TYPE_CHECKING:
    from llem.plugin_api import UntilConfig


@dataclass
class _Cycles:
    """The known cycles of one experiment. `rows` are those that are done; `verdict` is kept once there is one."""

    label: str
    ended: int = 0
    rows: list[Mapping[str, Any]] = field(default_factory=list)
    verdict: tuple[Level, str] | None = None


class NarrowInterval:
    """Follows the interval of each experiment's figure, from the same rows that `llem show` reads.

    Args:
        until: what is asked for. Where its `ci_width` is None every cycle is needed, and nothing is kept.
        registry: has the figures of plugins; None where it is one of llem's own.
    """

    def __init__(self, until: UntilConfig, registry: SpecRegistry | None = None) -> None:
        self._until = until
        self._known: dict[str, _Cycles] = {}
        own = METRIC_COLUMNS.get(until.figure)
        spec = None if own is not None or registry is None else registry[METRICS][until.figure]
        self._column = spec.column if spec is not None else METRIC_COLUMNS[until.figure]
        self._is_energy = spec.energy if spec is not None else is_energy(until.figure)
        self._computed = None
        if spec is not None and registry is not None:
            self._computed = next((one for one in computed_columns(registry) if one.name == spec.column), None)
        energy = ("energy.headline.scope", "energy.headline.method")
        self._of = self._computed.of if self._computed is not None else ()
        self._columns = ("cycle", "warnings", *energy, *environments.COLUMNS, *self._of)

    def add(self, config_hash: str, label: str, result: ExperimentResult) -> None:
        """A cycle ended, done or failed."""
        if self._until.ci_width is None:
            return
        cycles = self._known.setdefault(config_hash, _Cycles(label))
        cycles.ended += 1
        if result.status == "done":
            row = result_row(result, "")
            value = row.get(self._column) if self._computed is None else self._computed.value(row)
            cycles.rows.append({**{name: row.get(name) for name in self._columns}, self._column: value})
        if cycles.ended >= self._until.min_cycles:
            cycles.verdict = self._verdict(cycles)

    def is_met(self, config_hash: str) -> tuple[Level, str] | None:
        """The reason why an experiment needs no further cycle, and whether that is good news; None where it does."""
        cycles = self._known.get(config_hash)
        return cycles.verdict if cycles else None

    def needs(self, config_hash: str, cycle: int) -> bool:
        """Tell whether this cycle is known to be needed: beyond the first few, all before it have to have ended."""
        if self._until.ci_width is None or cycle <= self._until.min_cycles:
            return True
        cycles = self._known.get(config_hash)
        return cycles is not None and cycles.ended >= cycle - 1

    def unfinished(self) -> Iterator[str]:
        """A sentence for each experiment whose interval is not narrow enough after all its cycles."""
        for cycles in self._known.values():
            if cycles.verdict is None:
                figure = self._summary(cycles)
                share = _width(figure) if figure else None
                found = f"is {share * 100:.2g} % wide" if share is not None else "is not known"
                yield (
                    f"{cycles.label}: the 95 % interval of {self._until.figure} {found} after {cycles.ended} cycles; "
                    f"{self._until.ci_width_text} was asked for."
                )

    def _summary(self, cycles: _Cycles) -> MetricSummary | None:
        return column_summary(cycles.rows, self._column, energy=self._is_energy, of=self._of)

    def _verdict(self, cycles: _Cycles) -> tuple[Level, str] | None:
        until = self._until
        figure = self._summary(cycles)
        if figure is None:
            # More of the same would cost as much time again, and say as little.
            why = _why_none(cycles.rows, self._column, self._of)
            return (
                "warning",
                f"no interval of {until.figure}: its first {cycles.ended} cycles {why}. It is not repeated.",
            )
        share = _width(figure)
        if share is None or until.ci_width is None or share > until.ci_width:
            return None
        return "info", (
            f"the 95 % interval of {until.figure} is {share * 100:.2g} % of its mean wide after {cycles.ended} cycles "
            f"({until.ci_width_text} was asked for); it is not repeated."
        )


def _why_none(rows: list[Mapping[str, Any]], column: str, of: Sequence[str]) -> str:
    """The reason why cycles have no mean."""
    having = [row for row in map(weighed, rows) if row[column] is not None]
    if not having:
        return "have none"
    if is_boundless(map(weighed, rows), column, of):
        return "have one without any"
    parts = [environment for environment, _ in environments.by_environment(having)]
    if len(parts) < 2:
        return "differ in how energy was measured"
    return (
        f"ran in environments that differ in {' and '.join(environments.differences(parts))} "
        f"({'; '.join(environments.short_names(parts))})"
    )


def _width(figure: MetricSummary) -> float | None:
    """Whole width of the interval as a share of the mean; None where there is no interval, or the mean is 0."""
    found = figure.interval
    return found.width / abs(figure.mean) if found and figure.mean else None
