"""The backends that a study's experiments use, and the keys that belong to none of them. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from llem.config.keys import Vocabulary
from llem.config.problems import Key, Problem


def backends_in_use(data: Mapping[str, Any]) -> dict[str, Key]:
    """Each backend that an experiment of this merged study names, with the key that names it first.

    An axis or a group's entry for `backend` takes the place of the base's; an explicit experiment without one has the base's.
    Values that are no text are left to validation.
    """
    used: dict[str, Key] = {}
    for key, name in _named(data):
        if isinstance(name, str) and name:
            used.setdefault(name, key)
    return used


def _named(data: Mapping[str, Any]) -> Iterator[tuple[Key, Any]]:
    base: tuple[Key, Any] = (("backend",), data.get("backend"))
    axes, experiments = axes_of(data), explicit_experiments(data)
    axis = axes.get("backend")
    groups = list(group_entries(axes))
    if isinstance(axis, list):
        yield from ((("sweep", "backend", i), name) for i, name in enumerate(axis))
    by_label: dict[Key, list[bool]] = {}
    for key, entry in groups:
        by_label.setdefault(key[:-1], []).append("backend" in entry)
        if "backend" in entry:
            yield (*key, "backend"), entry["backend"]
    has_grid = bool(axes) or not experiments
    decided = isinstance(axis, list) or any(all(named) for named in by_label.values())
    if (has_grid and not decided) or any("backend" not in e for _, e in experiments):
        yield base
    for i, experiment in experiments:
        if "backend" in experiment:
            yield ("experiments", i, "backend"), experiment["backend"]


def axes_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """The sweep of a merged study, as far as it is one."""
    sweep = data.get("sweep")
    return sweep if isinstance(sweep, dict) else {}


def explicit_experiments(data: Mapping[str, Any]) -> list[tuple[int, Mapping[str, Any]]]:
    """The explicit experiments that are mappings, each with its place in the list."""
    experiments = data.get("experiments")
    return [(i, e) for i, e in enumerate(experiments if isinstance(experiments, list) else []) if isinstance(e, dict)]


def group_entries(sweep: Mapping[str, Any]) -> Iterator[tuple[Key, Mapping[str, Any]]]:
    """Every entry of every group with its key; `groups` is a list of entries, or a list or a mapping by label of such lists."""
    groups = sweep.get("groups")
    listed: dict[Key, Any] = {}
    if isinstance(groups, list) and any(isinstance(group, list) for group in groups):
        listed = {("sweep", "groups", place): group for place, group in enumerate(groups)}
    elif isinstance(groups, list):
        listed[("sweep", "groups")] = groups
    elif isinstance(groups, dict):
        listed = {("sweep", "groups", label): group for label, group in groups.items()}
    for key, group in listed.items():
        for i, entry in enumerate(group if isinstance(group, list) else []):
            if isinstance(entry, dict):
                yield (*key, i), entry


def unused_sections(data: Mapping[str, Any], vocabulary: Vocabulary, used: Mapping[str, Key]) -> Iterator[Problem]:
    """Sections, axes and group keys of installed backends that no experiment uses."""
    others = [name for name in vocabulary.backends if name not in used]
    here = ", ".join(sorted(used))
    for name in others:
        if name in data:
            yield Problem((name,), message="is the section of a backend that no experiment uses", accepted=_only(here))
    axes = axes_of(data)
    for axis in axes:
        if axis.split(".")[0] in others:
            yield Problem(
                ("sweep", axis), message="is an axis of a backend that no experiment uses", accepted=_only(here)
            )
    for key, entry in group_entries(axes):
        for name in entry:
            if name.split(".")[0] in others:
                yield Problem(
                    (*key, name), message="belongs to a backend that no experiment uses", accepted=_only(here)
                )
    for i, experiment in explicit_experiments(data):
        own = experiment.get("backend", data.get("backend"))
        for name in experiment:
            section = name.split(".")[0]
            if section in vocabulary.backends and isinstance(own, str) and section != own:
                yield Problem(
                    ("experiments", i, name), message=f"belongs to another backend than the experiment's, `{own}`"
                )


def _only(here: str) -> str | None:
    return f"sections of {here}" if here else None


def sections_without_scenario(data: Mapping[str, Any], vocabulary: Vocabulary) -> Iterator[Problem]:
    """Sections and axes that a scenario brings, where no experiment has that scenario."""
    named = {str(name) for name in _scenarios_named(data)}
    idle = {key: names for key, names in vocabulary.brought.items() if named.isdisjoint(names)}
    sweep = axes_of(data)
    places: list[tuple[Key, str]] = [((key,), key) for key in data]
    places += [(("sweep", axis), axis) for axis in sweep]
    places += [((*key, name), name) for key, entry in group_entries(sweep) for name in entry]
    places += [(("experiments", i, name), name) for i, entry in explicit_experiments(data) for name in entry]
    for key, name in places:
        if (names := idle.get(str(name).split(".")[0])) is not None:
            yield Problem(
                key,
                message="belongs to a scenario that no experiment has",
                accepted=f"it beside measurement.scenario: {' or '.join(names)}",
            )


def _scenarios_named(data: Mapping[str, Any]) -> Iterator[Any]:
    """Every value of `measurement.scenario` that stands anywhere in a study."""
    sweep = axes_of(data)
    axis = sweep.get("measurement.scenario")
    yield from axis if isinstance(axis, list) else ()
    for entry in (data, *(e for _, e in group_entries(sweep)), *(e for _, e in explicit_experiments(data))):
        yield entry.get("measurement.scenario")
        section = entry.get("measurement")
        yield section.get("scenario") if isinstance(section, dict) else None
