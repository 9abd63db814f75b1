"""A study's configurations: cycles brought together as mean, deviation and interval."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from llem.plugin_api import INTERRUPTED, Environment
from llem_analysis.intervals import FEWEST, Interval, bootstrap_interval, t_interval
from llem_analysis.metric_summary import METRIC_COLUMNS, MetricSummary, column_summary, energy_kind, is_energy
from llem_analysis.row_environments import EXCLUSIVE, NODE, by_environment
from llem_analysis.shown_metrics import ShownMetric
from llem_analysis.weighed_rows import VOIDED, weighed
from llem_analysis.weighing import codes_of


def no_interval(n: int) -> str | None:
    """The reason why so many values have no interval; None where they have one."""
    return None if n >= FEWEST else f"{n} value{'s' * (n != 1)}; an interval takes {FEWEST} or more"


def figure_document(figure: MetricSummary) -> dict[str, Any]:
    """A figure as plain data, for `--json`: the interval that is shown, and both by their method."""
    return {
        "mean": figure.mean,
        "sd": figure.sd,
        "n": figure.n,
        "interval": _interval(figure.interval),
        "no_interval": no_interval(figure.n),
        "bootstrap": _interval(bootstrap_interval(figure.values)),
        "t": _interval(t_interval(figure.values)),
    }


def _interval(found: Interval | None) -> dict[str, Any] | None:
    if found is None:
        return None
    document: dict[str, Any] = {"low": found.low, "high": found.high, "level": found.level, "method": found.method}
    if found.resamples is not None:
        document |= {"resamples": found.resamples, "seed": found.seed}
    return document


@dataclass
class Configuration:
    """One configuration of a study with all its cycles, as far as they ran in environments that are alike.

    Where its cycles ran in unlike environments there is one of these for each kind: such cycles are never averaged.

    Attributes:
        point: the swept keys with their values.
        base: keys that only other configurations sweep, with the values that they have here.
        statuses: how many cycles ended how.
        figures: by the names of `METRIC_COLUMNS` and of registered metrics that are shown, over the cycles that are done; absent
            where nothing was measured.
        scope, method: of the energy figures; None where there are none, or where cycles differ in it (then no energy
            figure is given: values of different methods are never averaged).
        unreliable: at least one cycle's energy is marked unreliable.
        warnings: code to its first message; codes: to how many of its runs that are done it concerns, with those that the
            figures tell themselves; voided: figures that some runs have and that warnings left out; failures: one line each.
        environment: of its cycles; nodes: how many cycles ran on each; exclusive: how many of them had it to themselves (True),
            not (False), or do not tell (None).
        is_part: the configuration has cycles in an environment of another kind too.
    """

    config_hash: str | None
    backend: str | None
    model: str | None
    point: dict[str, Any]
    base: dict[str, Any] = field(default_factory=dict)
    statuses: Counter[str] = field(default_factory=Counter)
    figures: dict[str, MetricSummary] = field(default_factory=dict)
    scope: str | None = None
    method: str | None = None
    mixed_methods: bool = False
    unreliable: bool = False
    warnings: dict[str, str] = field(default_factory=dict)
    codes: Counter[str] = field(default_factory=Counter)
    voided: set[str] = field(default_factory=set)
    failures: list[dict[str, str | None]] = field(default_factory=list)
    directories: list[str] = field(default_factory=list)
    environment: Environment = field(default_factory=Environment)
    nodes: Counter[str] = field(default_factory=Counter)
    exclusive: Counter[bool | None] = field(default_factory=Counter)
    is_part: bool = False

    def document(self) -> dict[str, Any]:
        """As plain data, for `--json`."""
        return {
            "config_hash": self.config_hash,
            "backend": self.backend,
            "model": self.model,
            "point": self.point,
            "statuses": dict(self.statuses),
            "figures": {
                **dict.fromkeys(METRIC_COLUMNS),
                **{name: figure_document(figure) for name, figure in self.figures.items()},
            },
            "energy": {"scope": self.scope, "method": self.method, "unreliable": self.unreliable}
            if self.method
            else None,
            "warnings": self.warnings,
            "weighed": {"codes": dict(self.codes), "voided": sorted(self.voided)},
            "failures": self.failures,
            "directories": self.directories,
            "nodes": dict(self.nodes),
            "exclusive": {"yes": self.exclusive[True], "no": self.exclusive[False], "unknown": self.exclusive[None]},
            "environment": dict(self.environment.facts),
            "ran_in_unlike_environments": self.is_part,
        }


def summarise(rows: Iterable[Mapping[str, Any]], metrics: Iterable[ShownMetric] = ()) -> list[Configuration]:
    """Bring rows of `results.parquet` together by configuration, in the order of their first position.

    A configuration whose cycles ran in unlike environments (other GPUs, limits, versions …) comes once for each kind.

    Args:
        metrics: registered ones, which are figures too.
    """
    more = list(metrics)
    groups: dict[object, list[Mapping[str, Any]]] = {}
    for row in sorted(rows, key=_place):
        groups.setdefault(row.get("config_hash") or row["directory"], []).append(row)
    swept = dict.fromkeys(key for group in groups.values() for key in _swept(group[0]))
    found = []
    for group in groups.values():
        parts = by_environment(group)
        for environment, rows_of_kind in parts:
            configuration = _configuration(rows_of_kind, more)
            configuration.base = _base(rows_of_kind[0], [key for key in swept if key not in configuration.point])
            configuration.environment, configuration.is_part = environment, len(parts) > 1
            found.append(configuration)
    return found


def config_column(key: str) -> str:
    """The column of `results.parquet` that tells what a swept key is set to, whether it was swept there or not."""
    return f"config.{_WHOLE.get(key, key)}"


_WHOLE = {"model": "model.source", "dataset": "dataset.name"}
"""Sections that may be swept as a whole, and the key that names what they hold."""


def _swept(row: Mapping[str, Any]) -> list[str]:
    """The swept keys of a row."""
    return [name.removeprefix("point.") for name in row if name.startswith("point.")]


def _base(row: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """The values of keys that a row did not sweep. What it has no such key for, as that of another backend, is left out."""
    return {key: found for key in keys if (found := row.get(config_column(key))) is not None}


def _place(row: Mapping[str, Any]) -> tuple[bool, int, str]:
    position = row.get("position")
    return (position is None, position or 0, str(row["directory"]))


def _configuration(rows: Sequence[Mapping[str, Any]], metrics: Sequence[ShownMetric]) -> Configuration:
    first = rows[0]
    summary = Configuration(
        config_hash=first.get("config_hash"),
        backend=first.get("config.backend"),
        model=first.get("config.model.source"),
        point={key: first[f"point.{key}"] for key in _swept(first)},
    )
    done = [weighed(row) for row in rows if row.get("status") == "done"]
    kinds = {kind for row in done if (kind := energy_kind(row)) is not None}
    if len(kinds) == 1:
        ((summary.scope, summary.method),) = kinds
    summary.mixed_methods = len(kinds) > 1
    figures = {name: column_summary(done, column, energy=is_energy(name)) for name, column in METRIC_COLUMNS.items()}
    figures |= {spec.name: column_summary(done, spec.column, energy=spec.energy, of=spec.of) for spec in metrics}
    summary.figures = {name: found for name, found in figures.items() if found is not None}
    for row in done:
        summary.codes.update(codes_of(row))
        voided = row.get(VOIDED) or {}
        summary.voided.update(name for name, column in METRIC_COLUMNS.items() if column in voided)
    for row in rows:
        summary.statuses[_ending(row)] += 1
        summary.directories.append(row["directory"])
        summary.exclusive[row.get(EXCLUSIVE)] += 1
        if row.get(NODE):
            summary.nodes[row[NODE]] += 1
        summary.unreliable |= bool(row.get("energy.headline.unreliable"))
        for code, message in zip(row.get("warnings") or (), row.get("warning_messages") or (), strict=False):
            summary.warnings.setdefault(code, message)
        if row.get("failure.type"):
            summary.failures.append(
                {
                    "directory": row["directory"],
                    "type": row["failure.type"],
                    "phase": row.get("failure.phase"),
                    "message": row.get("failure.message"),
                }
            )
    return summary


def _ending(row: Mapping[str, Any]) -> str:
    """The end of a run. One that the user interrupted has a failed result, but did not fail by itself."""
    return "interrupted" if row.get("failure.type") == INTERRUPTED else str(row.get("status"))
