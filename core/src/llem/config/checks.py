"""Checks of a merged study before its sweep is expanded: unknown keys, wrong values in the base, missing keys."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from llem.config.backends_in_use import axes_of, explicit_experiments, group_entries
from llem.config.introspect import section_at, takes_text
from llem.config.keys import RUNNER_OPTIONS, STUDY_KEYS, Vocabulary
from llem.config.problems import Key, Problem, problems_of, unknown_key
from llem.config.resolution import section_problems as rules_between_fields
from llem.config.section import Section
from llem.config.study import ExecutionConfig, StudyConfig

_RUNNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(?::\S.*)?\Z")
_LIMITS = ("timeout_s", "silence_timeout_s")


def problems_in_study(data: Mapping[str, Any], vocabulary: Vocabulary, missing: frozenset[str]) -> Iterator[Problem]:
    """Every problem of a merged study that shows without expanding it.

    Args:
        data: the merged study, plain strings in place of a section written out.
        vocabulary: what is installed.
        missing: backends that the study uses and that are not installed; their sections cannot be judged.
    """
    touched = _touched_sections(data)
    for key, value in data.items():
        if key in STUDY_KEYS or key in missing:
            continue
        if key == "backend":
            yield from _backend((key,), value)
        elif key in vocabulary.sections:
            yield from section_problems(vocabulary.sections[key], value, (key,), whole=key not in touched)
        elif "." in key and vocabulary.knows(key.split(".")):
            section, _, rest = key.partition(".")
            yield Problem((key,), message=f"stands outside `sweep`: write `{section}: {{{rest}: …}}`")
        else:
            near = vocabulary.nearest((key,), among=vocabulary.study_keys)
            if near is None and isinstance(value, dict):
                yield Problem((key,), message=_no_section(vocabulary), accepted=", ".join(vocabulary.study_keys))
            else:
                yield unknown_key((key,), vocabulary.study_keys, near)
    yield from _study_keys(data, vocabulary, missing)
    yield from _sweep(axes_of(data), vocabulary, missing)
    yield from _experiments(data.get("experiments"), vocabulary, missing)


def section_problems(model: type[Section], value: Any, key: Key, *, whole: bool) -> Iterator[Problem]:
    """Problems of one section of the base; what is missing may still come from the sweep.

    Args:
        model: of the section.
        value: as merged.
        key: path of the section.
        whole: nothing else adds to this section, so that rules between its fields can be judged as well.
    """
    if not isinstance(value, (dict, str)):
        listed = "a mapping with the keys " + ", ".join(model.model_fields)
        text = "text, or " if takes_text(model) else ""
        yield _empty(key) if value is None else Problem(key, value, "is not accepted", f"{text}{listed}")
        return
    try:
        section = model.model_validate(value)
        if whole:
            yield from rules_between_fields(str(key[-1]), section)
    except ValidationError as error:
        for item in error.errors(include_url=False):
            if item["type"] == "missing" or (not item["loc"] and not whole):
                continue
            one = ValidationError.from_exception_data(error.title, [_line(item)])
            yield from problems_of(one, model, key)


def _empty(key: Key) -> Problem:
    return Problem(key, message="is empty: give it a value, or remove the line")


def _no_section(vocabulary: Vocabulary) -> str:
    installed = ", ".join(vocabulary.backends) or "none"
    return f"is an unknown key, and no backend of that name is installed (installed: {installed})"


def _line(item: Any) -> Any:
    return {name: item[name] for name in ("type", "loc", "input", "ctx") if name in item}


def _touched_sections(data: Mapping[str, Any]) -> set[str]:
    """Sections that the sweep or an explicit experiment adds to."""
    axes = axes_of(data)
    keys = [k for k in axes if k != "groups"]
    keys += [k for _, entry in group_entries(axes) for k in entry]
    keys += [k for _, e in explicit_experiments(data) for k in e]
    return {key.split(".")[0] for key in keys}


def _backend(key: Key, value: Any) -> Iterator[Problem]:
    if not isinstance(value, str) or not value:
        yield Problem(key, value, "is not accepted", "text, the name of one backend")


def _study_keys(data: Mapping[str, Any], vocabulary: Vocabulary, missing: frozenset[str]) -> Iterator[Problem]:
    if "execution" in data:
        yield from section_problems(ExecutionConfig, data["execution"], ("execution",), whole=True)
    if "name" in data:
        try:
            StudyConfig.model_validate({"name": data["name"]})
        except ValidationError:
            words = (
                "text of letters, digits, dots, dashes and underscores, at most 100, that begins with a letter or digit"
            )
            yield Problem(("name",), data["name"], "is not accepted", words)
    for kind, key in ((dict, "sweep"), (list, "experiments"), (dict, "runners"), (dict, RUNNER_OPTIONS)):
        if key in data and data[key] is None:
            yield _empty((key,))
        elif key in data and not isinstance(data[key], kind):
            words = "a list of experiments, each a mapping" if kind is list else "a mapping"
            yield Problem((key,), data[key], "is not accepted", words)
    runners = data.get("runners")
    for name, value in runners.items() if isinstance(runners, dict) else ():
        if name not in vocabulary.backends and name not in missing:
            unknown = unknown_key(("runners", name), vocabulary.backends)
            yield replace(unknown, message="is no backend that is installed")
        if not isinstance(value, str) or not _RUNNER.match(value):
            yield Problem(
                ("runners", name), value, "is not accepted", "text of the form NAME or NAME:ARGUMENT, such as local"
            )
    options = data.get(RUNNER_OPTIONS)
    for name, value in options.items() if isinstance(options, dict) else ():
        yield from _runner_options((RUNNER_OPTIONS, name), value, vocabulary)


def _runner_options(key: Key, value: Any, vocabulary: Vocabulary) -> Iterator[Problem]:
    model = vocabulary.runner_options.get(str(key[-1]))
    if model is not None:
        yield from section_problems(model, value, key, whole=True)
    elif key[-1] in vocabulary.runners:
        with_options = ", ".join(vocabulary.runner_options) or "none"
        yield Problem(key, message=f"names a runner that has no options (those that have: {with_options})")
    else:
        yield replace(unknown_key(key, tuple(vocabulary.runner_options)), message="is no runner that is installed")


def _sweep(sweep: Mapping[str, Any], vocabulary: Vocabulary, missing: frozenset[str]) -> Iterator[Problem]:
    for axis in sweep:
        if axis != "groups":
            yield from _known(("sweep",), axis, vocabulary, missing)
    for key, entry in group_entries(sweep):
        for name in entry:
            yield from _known(key, name, vocabulary, missing)


def _experiments(experiments: Any, vocabulary: Vocabulary, missing: frozenset[str]) -> Iterator[Problem]:
    for i, experiment in enumerate(experiments if isinstance(experiments, list) else []):
        key: Key = ("experiments", i)
        if not isinstance(experiment, dict):
            yield Problem(key, experiment, "is not accepted", "a mapping of experiment keys, such as {dataset.n: 10}")
            continue
        for name in experiment:
            yield from _known(key, name, vocabulary, missing)


def _known(prefix: Key, name: str, vocabulary: Vocabulary, missing: frozenset[str]) -> Iterator[Problem]:
    path = name.split(".")
    if path[0] in missing or vocabulary.knows(path):
        return
    parent = path[:-1]
    if path[0] in STUDY_KEYS:
        yield Problem((*prefix, name), message="belongs to the study, not to an experiment: write it at the top level")
        return
    if parent and parent[0] not in vocabulary.sections:
        close = vocabulary.nearest((path[0],), among=tuple(vocabulary.sections))
        rest = ".".join(path[1:])
        yield Problem((*prefix, name), message=_no_section(vocabulary), nearest=f"{close}.{rest}" if close else None)
        return
    model = section_at(vocabulary.sections.get(parent[0]), parent[1:]) if parent else None
    fields = tuple(model.model_fields) if model is not None else ()
    among = fields if parent else vocabulary.experiment_keys
    near = vocabulary.nearest(path, among=among)
    yield unknown_key((*prefix, name), among, near, instead=vocabulary.instead(path))


def lacks_model(data: Mapping[str, Any]) -> bool:
    """Tell whether some experiment would have no model: neither the base, nor the sweep, nor itself names one."""
    if _names_model(data):
        return False
    axes = axes_of(data)
    by_group: dict[Key, list[bool]] = {}
    for key, entry in group_entries(axes):
        by_group.setdefault(key[:-1], []).append(_names_model(entry))
    in_grid = _names_model(axes) or any(all(named) for named in by_group.values())
    experiments = [e for _, e in explicit_experiments(data)]
    has_grid = bool(axes) or not experiments
    return (has_grid and not in_grid) or not all(_names_model(e) for e in experiments)


def _names_model(mapping: Mapping[str, Any]) -> bool:
    model = mapping.get("model")
    if isinstance(model, dict):
        return "source" in model
    return model is not None or mapping.get("model.source") is not None


def default_limits(data: dict[str, Any]) -> list[str]:
    """Make the time limits of `execution` the default of each experiment's `limits`; returns the keys that were filled in."""
    execution, limits = data.get("execution"), data.get("limits", {})
    if not isinstance(execution, dict) or not isinstance(limits, dict):
        return []
    filled = [name for name in _LIMITS if isinstance(execution.get(name), (int, float)) and name not in limits]
    if filled:
        data["limits"] = limits | {name: execution[name] for name in filled}
    return filled
