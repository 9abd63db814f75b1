"""The configurations of a study to choose among: what sets each apart, and its figures over cycles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from llem.plugin_api import Environment, MetricSpec
from llem_analysis.design import Configured, configured, find_parameters
from llem_analysis.metric_summary import MetricSummary, is_boundless
from llem_analysis.warning_codes import kind_of
from llem_analysis.weighing import codes_of
from llem_analysis.wording import as_written


@dataclass(frozen=True)
class Candidate:
    """One configuration.

    Attributes:
        settings: the keys in which the study's configurations differ, with its values; another backend's keys are missing.
            `environment` is among them where the study ran in unlike ones: there is one of these for each kind.
        directory: of its first cycle, relative to the study's folder.
        figures: by name, those that it has.
        kinds: scope and method of its energy; several where cycles differ.
        environment: that it ran in.
        rows: of its cycles, without what warnings void.
    """

    config_hash: str
    backend: str | None
    model: str | None
    settings: Mapping[str, Any]
    directory: str
    figures: Mapping[str, MetricSummary] = field(default_factory=dict)
    kinds: frozenset[tuple[str | None, str]] = frozenset()
    rows: tuple[Mapping[str, Any], ...] = field(default=(), repr=False, compare=False)
    environment: Environment = field(default_factory=Environment)

    @property
    def label(self) -> str:
        """The settings that set it apart, on one line: `backend=vllm, dtype=float32`, of several backends."""
        if not self.settings:
            return f"{self.model} on {self.backend}"
        own = f"{self.backend}." if "backend" in self.settings else ""
        return ", ".join(f"{key.removeprefix(own)}={as_written(value)}" for key, value in self.settings.items())

    @property
    def disturbed(self) -> frozenset[str]:
        """Codes of warnings that void or qualify a figure of it."""
        codes = {code for row in self.rows for code in codes_of(row)}
        return frozenset(code for code in codes if kind_of(code).weight != "inform")

    @property
    def estimated(self) -> bool:
        """Tell whether its energy is an estimate."""
        return any(method == "estimate" for _, method in self.kinds)


def candidates(rows: Iterable[Mapping[str, Any]], specs: Sequence[MetricSpec]) -> list[Candidate]:
    """Every configuration that has a run that is done, with these figures."""
    return candidates_of(configured(rows), specs)


def candidates_of(configurations: Sequence[Configured], specs: Sequence[MetricSpec]) -> list[Candidate]:
    """The same of rows that have been brought together by configuration."""
    parameters = find_parameters(configurations)
    return [
        _candidate(one, [key for p in parameters if p.name in one.levels for key in p.keys], specs)
        for one in configurations
    ]


def _candidate(one: Configured, keys: Sequence[str], specs: Sequence[MetricSpec]) -> Candidate:
    first = one.rows[0]
    kinds = frozenset(
        (row.get("energy.headline.scope"), row["energy.headline.method"])
        for row in one.rows
        if row.get("energy.headline.method") is not None
    )
    figures = {}
    for spec in specs:
        values = [(int(row.get("cycle") or 1), float(v)) for row in one.rows if (v := row.get(spec.column)) is not None]
        if values and not (spec.energy and len(kinds) > 1) and not is_boundless(one.rows, spec.column, spec.of):
            figures[spec.name] = MetricSummary(tuple(v for _, v in values), tuple(c for c, _ in values))
    return Candidate(
        config_hash=one.key,
        backend=one.backend,
        model=first.get("config.model.source"),
        settings={key: one.setting(key) for key in keys},
        directory=str(first.get("directory")),
        figures=figures,
        kinds=kinds,
        rows=tuple(one.rows),
        environment=one.environment,
    )


def has_settings(one: Candidate, words: str) -> bool:
    """True where it has all these settings, `KEY=VALUE,…`: each under its whole key or without the backend's name, as labels show it."""
    pairs = [part.strip().partition("=") for part in words.split(",")]
    return all(_has(one, key, value) for key, _, value in pairs)


def _has(one: Candidate, key: str, value: str) -> bool:
    keys = (key, f"{one.backend}.{key}")
    return any(name in one.settings and as_written(one.settings[name]) == value for name in keys)


def refuse_mixed(found: Sequence[Candidate], specs: Sequence[MetricSpec], where: str) -> None:
    """Raise ResultError where energy would be ranked across methods or scopes."""
    from llem.plugin_api import ResultError

    kinds = {kind for one in found for kind in one.kinds}
    if any(spec.energy for spec in specs) and len(kinds) > 1:
        named = ", ".join(sorted(f"{scope} {method}" for scope, method in kinds))
        raise ResultError(
            f"energy was found by different methods ({named}), and cannot be ranked across them.",
            where=where,
            remedy="Repeat the study with one sampler (measurement.samplers), or use another figure.",
        )
