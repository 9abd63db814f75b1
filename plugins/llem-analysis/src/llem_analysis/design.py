"""The design of a study: its configurations, its parameters with their values, and those that belong to one backend."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from llem.plugin_api import Environment
from llem_analysis.effect_models import Parameter
from llem_analysis.row_environments import RowEnvironments, by_environment
from llem_analysis.study_kinds import study_kinds
from llem_analysis.weighed_rows import weighed

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
    environments = RowEnvironments()
    found = [
        Configured(key=key, backend=part[0].get("config.backend"), rows=part, environment=environment)
        for key, group in groups.items()
        for environment, part in by_environment(group, environments)
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
    columns: dict[str, _Column] = {}
    for key in _keys(configurations):
        section = key.partition(".")[0]
        column = _Column.of(
            [ABSENT if c.backend != section and section in backends else c.setting(key) for c in configurations]
        )
        if len({text for text in column.texts if text is not None}) > 1:
            columns[key] = column
    parameters = []
    for keys in _together({key: column.texts for key, column in columns.items()}):
        values, texts = columns[keys[0]].values, columns[keys[0]].texts
        first: dict[str, int] = {}
        for place, text in enumerate(texts):
            if text is not None:
                first.setdefault(text, place)
        order = {text: number for number, text in enumerate(_levels(first, values))}
        names = sorted(keys, key=list(columns).index)
        name = " + ".join(names)
        shown = tuple(
            values[first[text]] if len(keys) == 1 else {key: columns[key].values[first[text]] for key in names}
            for text in order
        )
        present = {c.backend for c, text in zip(configurations, texts, strict=True) if text is not None}
        nested = present.pop() if len(backends) > 1 and len(present) == 1 and "backend" not in keys else None
        parameters.append(Parameter(name=name, keys=tuple(names), values=shown, backend=nested))
        for one, text in zip(configurations, texts, strict=True):
            if text is not None:
                one.levels[name] = order[text]
    return parameters


@dataclass(frozen=True)
class _Column:
    """One key over the configurations: its values, and each as text that is equal for equal values; None where ABSENT."""

    values: Sequence[Any]
    texts: Sequence[str | None]

    @classmethod
    def of(cls, values: Sequence[Any]) -> _Column:
        """The column of these values."""
        return cls(values, [None if value is ABSENT else frozen(value) for value in values])


def _keys(configurations: Sequence[Configured]) -> list[str]:
    """Swept keys in the order of their first appearance; backend and model too, since explicit experiments may vary them, and the environment."""
    swept = (name.removeprefix("point.") for c in configurations for name in c.rows[0] if name.startswith("point."))
    return list(dict.fromkeys([*swept, "backend", "model", ENVIRONMENT]))


def _together(columns: Mapping[str, Sequence[str | None]]) -> list[list[str]]:
    """Groups of keys that vary together; the first of a group is the one that tells the others."""
    groups: list[list[str]] = []
    # The finest first, so that a group's first key tells every other one.
    for key in sorted(columns, key=lambda k: -len(set(columns[k]))):
        for group in groups:
            if _tells(columns[group[0]], columns[key]):
                group.append(key)
                break
        else:
            groups.append([key])
    return sorted(groups, key=lambda group: min(list(columns).index(key) for key in group))


def _tells(one: Sequence[str | None], other: Sequence[str | None]) -> bool:
    if [v is None for v in one] != [v is None for v in other]:
        return False
    return len(set(zip(one, other, strict=True))) == len(set(one))


def _levels(first: Mapping[str, int], values: Sequence[Any]) -> list[str]:
    """Distinct values, by the place of their first one: numbers ascending, anything else in the order of the study."""
    distinct = {text: values[place] for text, place in first.items()}
    if all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in distinct.values()):
        return sorted(distinct, key=lambda text: float(distinct[text]))
    return list(distinct)


def frozen(value: Any) -> str:
    """A value as text that is equal for equal values: 1 and 1.0 agree, 1 and "1" do not."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
