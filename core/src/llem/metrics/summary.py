"""A study's findings, configuration by configuration: cycles brought together as mean, deviation and interval."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from llem.metrics import intervals
from llem.metrics.environments import EXCLUSIVE, NODE, Environment, are_alike, by_environment
from llem.metrics.intervals import Interval
from llem.metrics.shown import ShownMetric
from llem.results.job_directory import INTERRUPTED
from llem.results.weighing import VOIDED, codes_of, weighed

if TYPE_CHECKING:
    import pyarrow as pa

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

    @property
    def no_interval(self) -> str | None:
        """The reason why there is no interval, where there is none."""
        return intervals.no_interval(self.n)

    def document(self) -> dict[str, Any]:
        """As plain data, for `--json`: the interval that is shown, and both by their method."""
        bootstrap = intervals.bootstrap_interval(self.values)
        t = intervals.t_interval(self.values)
        return {
            "mean": self.mean,
            "sd": self.sd,
            "n": self.n,
            "interval": _interval(self.interval),
            "no_interval": self.no_interval,
            "bootstrap": _interval(bootstrap),
            "t": _interval(t),
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
                **{name: figure.document() for name, figure in self.figures.items()},
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
    """Bring rows (of `study_rows` or of `results.parquet`) together by configuration, in the order of their first position.

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
    kinds = {kind for row in done if (kind := _kind(row)) is not None}
    if len(kinds) == 1:
        ((summary.scope, summary.method),) = kinds
    summary.mixed_methods = len(kinds) > 1
    figures = {name: metric_summary(done, name) for name in METRIC_COLUMNS}
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


def metric_summary(rows: Iterable[Mapping[str, Any]], name: str) -> MetricSummary | None:
    """One of `METRIC_COLUMNS` over rows that are done; None where none has it, or where they cannot be averaged.

    That is where they ran in unlike environments, and where it is energy and their methods differ. What warnings void does not count.
    """
    return column_summary(rows, METRIC_COLUMNS[name], energy=name in _ENERGY)


def column_summary(rows: Rows, column: str, *, energy: bool, of: Sequence[str] = ()) -> MetricSummary | None:
    """The same of any column of numbers; `energy` where its method counts. None as well where `is_boundless`."""
    known = [weighed(row) for row in rows]
    found = [row for row in known if row.get(column) is not None]
    kinds = {_kind(row) for row in found if energy}
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


def _ending(row: Mapping[str, Any]) -> str:
    """The end of a run. One that the user interrupted has a failed result, but did not fail by itself."""
    return "interrupted" if row.get("failure.type") == INTERRUPTED else str(row.get("status"))


def _kind(row: Mapping[str, Any]) -> tuple[str | None, str] | None:
    """Scope and method of a row's energy; None where it has none."""
    method = row.get("energy.headline.method")
    return None if method is None else (row.get("energy.headline.scope"), method)


def parquet_rows(table: pa.Table) -> list[dict[str, Any]]:
    """The rows of a `results.parquet` as `study_rows` gives them: JSON text read back, absent swept values left out.

    Values that repeat are one object: nothing may be changed in a row's lists and mappings.
    """
    names = table.column_names
    columns = [_column(table.column(name), table.schema.field(name)) for name in names]
    if not columns:
        return [{} for _ in range(table.num_rows)]
    rows = [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
    for name, values in zip(names, columns, strict=True):
        if name.startswith(("point.", "config.")) and None in values:
            for row in rows:
                if row[name] is None:
                    del row[name]
    return rows


def _column(column: pa.ChunkedArray[Any], field: pa.Field[Any]) -> list[Any]:
    """The values of a column, those that repeat read once."""
    import pyarrow as pa

    if column.null_count == len(column):
        return [None] * len(column)
    read = json.loads if (field.metadata or {}).get(b"encoding") == b"json" else None
    found: list[Any] = []
    for chunk in column.chunks:
        if pa.types.is_string(field.type):
            encoded: Any = chunk.dictionary_encode()
            distinct: list[Any] = encoded.dictionary.to_pylist()
            if read is not None:
                distinct = [read(text) for text in distinct]
            found += [None if place is None else distinct[place] for place in encoded.indices.to_pylist()]
        elif field.type in (pa.float64(), pa.int64()) and not chunk.null_count and (data := chunk.buffers()[1]):
            numbers = memoryview(data).cast("d" if field.type == pa.float64() else "q")
            found += numbers[chunk.offset : chunk.offset + len(chunk)].tolist()
        else:
            found += chunk.to_pylist()
    return found
