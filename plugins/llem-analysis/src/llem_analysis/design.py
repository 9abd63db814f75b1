"""What a study varies: its configurations, its parameters with their values, and which of them belong to one backend only."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from llem.plugin_api import Environment, by_environment, study_kinds, weighed
from llem_analysis.effect_models import Parameter

ABSENT = object()
"""Value of a key that a configuration does not have: it belongs to another backend."""

ENVIRONMENT = "environment"
"""The key that stands beside swept ones where runs that are done come from environments that are not alike."""

_CONFIGURED_AS = {"model": "config.model.source", "dataset": "config.dataset.name"}


@dataclass
class Configured:
    """One configuration with the rows of its cycles, as far as they ran in environments that are alike.

    Attributes:
        key: its `config_hash`.
        rows: one for each cycle that is done, as `study_rows` gives them, without what warnings void.
        levels: parameter name to the index of its value; a parameter of another backend is missing.
        environment: of these rows; kind: its short name where the study ran in several kinds, else None.
    """

    key: str
    backend: str | None
    rows: list[Mapping[str, Any]]
    levels: dict[str, int] = field(default_factory=dict)
    environment: Environment = field(default_factory=Environment)
    kind: str | None = None

    def setting(self, key: str) -> Any:
        """The value of a dotted key: as swept, else as configured; ABSENT where it belongs to another backend."""
        if key == ENVIRONMENT:
            return self.kind
        row = self.rows[0]
        if f"point.{key}" in row:
            return row[f"point.{key}"]
        name = _CONFIGURED_AS.get(key, f"config.{key}")
        if row.get(name) is not None:
            return row[name]
        inner = {n.removeprefix(name + "."): v for n, v in row.items() if n.startswith(name + ".") and v is not None}
        return inner or None


def configured(rows: Iterable[Mapping[str, Any]]) -> list[Configured]:
    """The rows that are done, by configuration and kind of environment, in the study's order."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in sorted(rows, key=lambda r: (r.get("position") is None, r.get("position") or 0, str(r.get("directory")))):
        if row.get("status") == "done" and row.get("config_hash") is not None:
            groups.setdefault(row["config_hash"], []).append(weighed(row))
    found = [
        Configured(key=key, backend=part[0].get("config.backend"), rows=part, environment=environment)
        for key, group in groups.items()
        for environment, part in by_environment(group)
    ]
    for one, kind in zip(found, study_kinds([(one.key, one.environment) for one in found]), strict=True):
        one.kind = kind
    return found


def find_parameters(configurations: Sequence[Configured]) -> list[Parameter]:
    """Every parameter that varies, and each configuration's `levels` filled in.

    A key of one backend is nested in it where the study has several backends. Keys of which one tells the other in every
    configuration are one parameter: their effects cannot be told apart.
    """
    backends = {c.backend for c in configurations}
    columns: dict[str, list[Any]] = {}
    for key in _keys(configurations):
        values = [
            ABSENT if c.backend != key.partition(".")[0] and key.partition(".")[0] in backends else c.setting(key)
            for c in configurations
        ]
        if len({frozen(v) for v in values if v is not ABSENT}) > 1:
            columns[key] = values
    parameters = []
    for keys in _together(columns):
        values = columns[keys[0]]
        order = _levels(values)
        first = [next(i for i, v in enumerate(values) if v is not ABSENT and frozen(v) == level) for level in order]
        names = sorted(keys, key=list(columns).index)
        name = " + ".join(names)
        shown = tuple(values[i] if len(keys) == 1 else {key: columns[key][i] for key in names} for i in first)
        present = {c.backend for c, v in zip(configurations, values, strict=True) if v is not ABSENT}
        nested = present.pop() if len(backends) > 1 and len(present) == 1 and "backend" not in keys else None
        parameters.append(Parameter(name=name, keys=tuple(names), values=shown, backend=nested))
        for one, value in zip(configurations, values, strict=True):
            if value is not ABSENT:
                one.levels[name] = order.index(frozen(value))
    return parameters


def _keys(configurations: Sequence[Configured]) -> list[str]:
    """Swept keys in the order of their first appearance; backend and model too, since explicit experiments may vary them, and the environment."""
    swept = (name.removeprefix("point.") for c in configurations for name in c.rows[0] if name.startswith("point."))
    return list(dict.fromkeys([*swept, "backend", "model", ENVIRONMENT]))


def _together(columns: Mapping[str, Sequence[Any]]) -> list[list[str]]:
    """Groups of keys that vary together; the first of a group is the one that tells the others."""
    partitions = {key: [None if v is ABSENT else frozen(v) for v in values] for key, values in columns.items()}
    groups: list[list[str]] = []
    # The finest first, so that a group's first key tells every other one.
    for key in sorted(partitions, key=lambda k: -len(set(partitions[k]))):
        for group in groups:
            if _tells(partitions[group[0]], partitions[key]):
                group.append(key)
                break
        else:
            groups.append([key])
    return sorted(groups, key=lambda group: min(list(columns).index(key) for key in group))


def _tells(one: Sequence[str | None], other: Sequence[str | None]) -> bool:
    if [v is None for v in one] != [v is None for v in other]:
        return False
    return len(set(zip(one, other, strict=True))) == len(set(one))


def _levels(values: Sequence[Any]) -> list[str]:
    """Distinct values: numbers ascending, anything else in the order of the study."""
    distinct = {frozen(v): v for v in values if v is not ABSENT}
    if all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in distinct.values()):
        return sorted(distinct, key=lambda text: float(distinct[text]))
    return list(distinct)


def frozen(value: Any) -> str:
    """A value as text that is equal for equal values: 1 and 1.0 agree, 1 and "1" do not."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
