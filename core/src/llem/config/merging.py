"""Layers of a configuration laid over each other, and what an override does to a sweep. Pure functions over plain data."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from llem.config.introspect import from_text, takes_text
from llem.config.keys import Vocabulary

DEPENDENTS: Mapping[str, tuple[str, ...]] = {
    "model.source": ("model.revision", "model.tokenizer", "model.trust_remote_code"),
    "dataset.name": ("dataset.path", "dataset.field", "dataset.split", "dataset.revision"),
}
"""Keys that describe the value of another one: they do not outlive it when a higher layer names another model or dataset."""


@dataclass(frozen=True)
class Origin:
    """Where a value came from.

    Attributes:
        kind: `command line`, `environment`, `study file`, `user file`, `default`, or `argument` for the library.
        where: the file with line and column, or the variable's name; None where the kind says all.
    """

    kind: str
    where: str | None = None

    def __str__(self) -> str:
        if self.where is None:
            return self.kind
        return self.where if self.kind == "study file" else f"{self.kind} {self.where}"


@dataclass(frozen=True)
class Layer:
    """One source of values: nested data, and where each of its keys stands."""

    data: Mapping[str, Any]
    origin: Callable[[Sequence[str | int]], Origin]


def nested(flat: Mapping[str, Any], vocabulary: Vocabulary) -> dict[str, Any]:
    """Dotted keys to nested mappings: `{"a.b": 1, "a": {"c": 2}}` to `{"a": {"c": 2, "b": 1}}`; longer keys win."""
    result: dict[str, Any] = {}
    for key in sorted(flat, key=lambda k: k.count(".")):
        *path, last = key.split(".")
        place = result
        for depth, part in enumerate(path):
            inner = place.get(part)
            if depth == 0:
                inner = expanded(part, inner, vocabulary)
            if not isinstance(inner, dict):
                inner = {}
            place[part] = inner
            place = inner
        value = flat[key]
        value = expanded(last, value, vocabulary) if not path else copy.deepcopy(value)
        place[last] = (
            deep_merge(place[last], value) if isinstance(place.get(last), dict) and isinstance(value, dict) else value
        )
    return result


def expanded(section: str, value: Any, vocabulary: Vocabulary) -> Any:
    """A copy of a section's value, with a plain string written out as the mapping that it stands for."""
    model = vocabulary.sections.get(section)
    if isinstance(value, str) and model is not None and takes_text(model):
        try:
            return from_text(model, value)
        except ValidationError:
            return value  # validation reports it with its place
    return copy.deepcopy(dict(value)) if isinstance(value, Mapping) else copy.deepcopy(value)


def deep_merge(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """A new mapping: `upper` over `lower`, mappings merged key by key, everything else replaced."""
    result = dict(lower)
    for key, value in upper.items():
        below = result.get(key)
        result[key] = deep_merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result


def without_dependents(section: str, base: Mapping[str, Any], above: Mapping[str, Any]) -> Mapping[str, Any]:
    """A section without what belongs to another model or dataset than the one that is laid over it."""
    for key, dependents in DEPENDENTS.items():
        owner, name = key.split(".")
        if owner == section and name in above and name in base and above[name] != base[name]:
            return {field: value for field, value in base.items() if f"{section}.{field}" not in dependents}
    return base


def leaves(data: Mapping[str, Any], prefix: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every path to a value that is no mapping, or an empty one."""
    for key, value in data.items():
        path = (*prefix, key)
        if isinstance(value, Mapping) and value:
            yield from leaves(value, path)
        else:
            yield path, value


def keys_below(keys: Iterable[str], key: str) -> list[str]:
    """Those of these dotted keys that are the key itself, or stand inside of it."""
    return [one for one in keys if one == key or one.startswith(f"{key}.")]


class Merged:
    """Layers laid over each other, the lowest first.

    Attributes:
        data: the result, nested.
        origins: dotted key of each value to where it came from.
        notes: what a reader should know, a sentence each.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self.data: dict[str, Any] = {}
        self.origins: dict[str, Origin] = {}
        self.notes: list[str] = []

    def add(self, layer: Layer) -> None:
        """Lay one more layer over the rest."""
        data = {key: expanded(key, value, self._vocabulary) for key, value in layer.data.items()}
        self._drop_dependents(data, layer)
        self._drop_other_repetition(data, layer)
        self.data = deep_merge(self.data, data)
        for path, _ in leaves(data):
            key = ".".join(path)
            for other in [o for o in self.origins if o.startswith(f"{key}.") or key.startswith(f"{o}.")]:
                del self.origins[other]
            self.origins[key] = layer.origin(path)

    def _drop_dependents(self, upper: Mapping[str, Any], layer: Layer) -> None:
        for key, dependents in DEPENDENTS.items():
            section, name = key.split(".")
            above, below = upper.get(section), self.data.get(section)
            if not isinstance(above, dict) or not isinstance(below, dict) or name not in above or name not in below:
                continue
            if above[name] == below[name]:
                continue
            for dependent in dependents:
                field = dependent.split(".")[1]
                if field in below and field not in above:
                    del below[field]
                    origin = self.origins.pop(dependent)
                    self.notes.append(
                        f"`{dependent}` ({origin}) is left out: it belongs to another `{key}` than the one "
                        f"given by {layer.origin((section, name))}."
                    )

    def _drop_other_repetition(self, upper: Mapping[str, Any], layer: Layer) -> None:
        """`execution.cycles` and `execution.until` exclude each other: what a higher layer gives replaces the other below."""
        above, below = upper.get("execution"), self.data.get("execution")
        if not isinstance(above, dict) or not isinstance(below, dict):
            return
        until = above.get("until")
        decides = {
            "cycles": above.get("cycles") is not None,
            "until": isinstance(until, dict) and until.get("ci_width") is not None,
        }
        for name, other in (("cycles", "until"), ("until", "cycles")):
            if decides[name] and name not in below and other in below and other not in above:
                del below[other]
                for key in keys_below(self.origins, f"execution.{other}"):
                    del self.origins[key]
                self.notes.append(
                    f"`execution.{other}` is left out: `execution.{name}` is given by {layer.origin(('execution', name))}."
                )


def give_way(overrides: Mapping[str, Any], data: dict[str, Any], vocabulary: Vocabulary) -> list[str]:
    """Make axes, groups and explicit experiments of `data` give way to what stands above the study file.

    Args:
        overrides: what the command line and the environment set, nested and expanded.
        data: the merged study; its `sweep` and `experiments` are changed in place.
        vocabulary: what is installed.

    Returns:
        a sentence for each axis that was replaced.
    """
    set_keys = {".".join(path) for path, _ in leaves(overrides) if path[0] in vocabulary.experiment_keys}
    notes: list[str] = []
    if not set_keys:
        return notes
    sweep, experiments = data.get("sweep"), data.get("experiments")
    if isinstance(sweep, dict):
        had_grid = len(sweep) > 0
        for axis in [a for a in sweep if a != "groups"]:
            values = sweep[axis]
            if not _decided(axis, set_keys) and axis in vocabulary.sections and isinstance(values, list):
                sweep[axis] = _distinct(_laid_under(axis, value, overrides, vocabulary) for value in values)
            if _decided(axis, set_keys) or (sweep[axis] != values and sweep[axis] == [overrides.get(axis)]):
                del sweep[axis]
                notes.append(
                    f"the axis `{axis}` of the sweep is replaced by the one value given outside the study file."
                )
        if "groups" in sweep:
            sweep["groups"] = _groups(sweep["groups"], set_keys, overrides, vocabulary, notes)
            if not sweep["groups"]:
                del sweep["groups"]
        if had_grid and not sweep and isinstance(experiments, list) and experiments:
            experiments.append({})  # what is left of the grid: one experiment, the base
    if isinstance(experiments, list):
        for place, experiment in enumerate(experiments):
            if isinstance(experiment, dict):
                kept = _without(experiment, set_keys, overrides, vocabulary)
                if kept != experiment:
                    experiments[place] = kept
                    notes.append(f"`experiments[{place}]`: values given outside the study file replace its own.")
    return notes


def _decided(key: str, set_keys: set[str]) -> bool:
    """Tell whether what is set decides the whole of `key`: the key itself, or something around it."""
    return any(key == s or key.startswith(f"{s}.") for s in set_keys)


def _distinct(values: Iterable[Any]) -> list[Any]:
    result: list[Any] = []
    for value in values:
        if value not in result:
            result.append(value)
    return result


def _laid_under(section: str, value: Any, overrides: Mapping[str, Any], vocabulary: Vocabulary) -> Any:
    """A section's value with what is set laid over it; what belonged to another model or dataset is dropped."""
    above, written = overrides.get(section), expanded(section, value, vocabulary)
    if not isinstance(above, dict) or not isinstance(written, dict):
        return value
    return deep_merge(without_dependents(section, written, above), above)


def _groups(
    groups: Any, set_keys: set[str], overrides: Mapping[str, Any], vocabulary: Vocabulary, notes: list[str]
) -> Any:
    if isinstance(groups, dict):
        kept = {label: _groups(group, set_keys, overrides, vocabulary, notes) for label, group in groups.items()}
        return {label: group for label, group in kept.items() if group}
    if not isinstance(groups, list):
        return groups
    entries = [_without(e, set_keys, overrides, vocabulary) if isinstance(e, dict) else e for e in groups]
    if entries == groups:
        return groups
    entries = _distinct(entries)
    notes.append("a group of the sweep varies less: values given outside the study file replace its own.")
    return [] if entries == [{}] else entries


def _without(
    entry: Mapping[str, Any], set_keys: set[str], overrides: Mapping[str, Any], vocabulary: Vocabulary
) -> dict[str, Any]:
    """An experiment or group entry without the keys that are set elsewhere."""
    result: dict[str, Any] = {}
    for key, value in entry.items():
        if not _decided(key, set_keys):
            result[key] = _laid_under(key, value, overrides, vocabulary) if key in vocabulary.sections else value
    return result
