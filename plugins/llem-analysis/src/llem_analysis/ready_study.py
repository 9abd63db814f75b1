"""A configuration that was run, as the YAML of a study that runs it again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from llem.plugin_api import EXPERIMENT, RESULT, SECTIONS, ResultError, ScenarioSpec, Section, read_object
from llem_analysis.loading import require_job

_PATHS = (("model", "source"), ("model", "tokenizer"), ("dataset", "path"), ("load", "trace"))
"""Keys whose value may be a path relative to the folder of the study that ran it."""


def ready_study(
    job: Path,
    name: str,
    options: Mapping[str, type[Section]],
    comments: Sequence[str] = (),
    scenarios: Mapping[str, ScenarioSpec] = MappingProxyType({}),
    instead: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> str:
    """The YAML of a study of this one configuration; values at their default are left out.

    Args:
        job: the job directory of one of its runs.
        name: of the study.
        options: backend to the model of its section; the section of a backend that is not here is written out in full.
        comments: lines for its head.
        scenarios: specs by name; the sections that one brings are written out in full where it is not here.
        instead: sections in the place of its own.

    Raises:
        ResultError: the job directory cannot be read.
    """
    require_job(job)
    data = read_object(job / EXPERIMENT, "experiment") if (job / EXPERIMENT).is_file() else {}
    result = read_object(job / RESULT, "result")
    config = data.get("config") or result.get("config")
    if not isinstance(config, dict) or "model" not in config or "backend" not in config:
        raise ResultError("it holds no configuration.", where=str(job))
    config = json.loads(json.dumps({**config, **instead}))
    _absolute(config, Path(data.get("base_dir") or "."))
    backend = config["backend"]
    scenario = scenarios.get(str((config.get("measurement") or {}).get("scenario")))
    models = {**SECTIONS, **({backend: options[backend]} if backend in options else {})}
    models |= scenario.sections if scenario is not None else {}
    defaults = scenario.defaults if scenario is not None else {}
    document: dict[str, Any] = {"name": name}
    # Sections of the scenario, which come last, stand in the configuration under names that only it knows.
    for key in dict.fromkeys(("model", "dataset", "backend", backend, *SECTIONS, *config)):
        if key not in config or key == "limits" or config[key] is None:
            continue
        value = config[key]
        is_known = key in models and isinstance(value, dict)
        shown = _differing(value, models[key], defaults.get(key, {})) if is_known else value
        if shown != {}:
            document[key] = shown
    if runner := _runner(result):
        document["runners"] = {backend: runner}
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, default_flow_style=False, width=120)
    return "".join(f"# {line}\n" for comment in comments for line in comment.splitlines()) + text


def _runner(result: Mapping[str, Any]) -> str | None:
    """Where it ran, where that was not in a process on this machine: a figure in a container belongs to its image."""
    runner = ((result.get("environment") or {}).get("study") or {}).get("runner") or {}
    name, argument = runner.get("name"), runner.get("argument")
    if name in (None, "local"):
        return None
    return f"{name}:{argument}" if argument else str(name)


def _differing(values: Mapping[str, Any], model: type[Section], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a section that are not what they would be by themselves; `defaults` come before the model's own."""
    found = {}
    for key, value in values.items():
        field = model.model_fields.get(key)
        if field is not None and (key in defaults or not field.is_required()):
            default = (
                defaults[key] if key in defaults else field.get_default(call_default_factory=True, validated_data={})
            )
            plain = default.model_dump(mode="json") if isinstance(default, Section) else default
            if plain == value and type(plain) is type(value):
                continue
        found[key] = value
    return found


def _absolute(config: dict[str, Any], base: Path) -> None:
    """Paths that are there, from the root on, so that the study runs wherever it is put.

    In the backend's section those that are written as one: any other text there may mean something else.
    """
    for section, key in _PATHS:
        value = (config.get(section) or {}).get(key)
        if isinstance(value, str) and not Path(value).is_absolute() and (base / value).exists():
            config[section][key] = str((base / value).resolve())
    backend = config["backend"]
    if backend in config:
        config[backend] = _resolved(config[backend], base)


def _resolved(value: Any, base: Path) -> Any:
    if isinstance(value, dict):
        return {key: _resolved(inner, base) for key, inner in value.items()}
    if isinstance(value, list):
        return [_resolved(inner, base) for inner in value]
    if isinstance(value, str) and value.startswith(("./", "../")) and (base / value).exists():
        return str((base / value).resolve())
    return value
