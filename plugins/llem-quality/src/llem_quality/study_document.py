"""A study that asks the configurations of a finished one the questions of a task."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from llem.plugin_api import (
    BACKENDS,
    EXPERIMENT,
    SCENARIOS,
    SECTIONS,
    ConfigError,
    Registry,
    ResultError,
    StudyResult,
    Sweep,
    inside,
    installed_parts,
    is_held,
    is_study,
    load_study,
    nothing_here,
    read_object,
    several_here,
)
from llem_analysis.ready_study import ready_study

_OF_METERS = ("samplers", "sample_hz", "settle_s", "cpu_tdp_w", "residual_memory_mb")
"""Keys of `measurement` that say how it is metered; the others say how a workload is repeated, and a question is asked once."""


@dataclass(frozen=True)
class QualityStudy:
    """The study, and where each configuration of the finished one is in it.

    Attributes:
        document: as plain data.
        identities: `config_hash` in the finished study to the one here. Several lead to one where they differ in nothing that an
            answer depends on, such as the rate of requests.
    """

    document: Mapping[str, Any]
    identities: Mapping[str, str]

    def text(self, comment: str) -> str:
        """As YAML, with a line at its head."""
        return f"# {comment}\n" + yaml.safe_dump(dict(self.document), sort_keys=False, allow_unicode=True, width=120)


def quality_study(
    study: Path,
    registry: Registry,
    dataset: Mapping[str, Any],
    scoring: Mapping[str, Any],
    settings: Sequence[str] = (),
) -> QualityStudy:
    """The study of quality for a finished study.

    Args:
        study: its folder.
        dataset: the section `dataset`: the task, with an absolute path, and how many of its questions.
        scoring: the section `quality`.
        settings: `KEY=VALUE` of the command line, which change identities as they change the study.

    Raises:
        ResultError: no experiment of it is done, or a job directory cannot be read.
        ConfigError: a backend ran in several places, so that there is no telling where it shall answer.
    """
    whole: dict[str, dict[str, Any]] = {}
    runners: dict[str, str] = {}
    for key, job in _jobs(study):
        one = _asked(job, registry, dataset, scoring)
        for backend, runner in (one.pop("runners", None) or {}).items():
            if runners.setdefault(backend, runner) != runner:
                raise ConfigError(
                    f"{backend} ran by {runners[backend]} and by {runner}, and a study has one runner for each backend.",
                    where=str(study),
                    remedy="Ask about each by a study of its own.",
                )
        whole[key] = one
    identities = {key: _identity(one, registry, settings) for key, one in whole.items()}
    distinct = {identity: whole[key] for key, identity in reversed(identities.items())}
    ordered = [distinct[identity] for identity in dict.fromkeys(identities.values())]
    document: dict[str, Any] = {"name": name_of(study), **_together(ordered)}
    if runners:
        document["runners"] = runners
    return QualityStudy(document, identities)


def name_of(study: Path) -> str:
    """The name of the study of quality: the folder's, which its owner may have given characters that no study's name can have."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", study.resolve().name).lstrip("._-")
    return f"{plain[:80] or 'study'}-quality"


def require_ended(study: Path) -> None:
    """Raise ResultError where this is no study, or an llem works on it now."""
    if not study.exists():
        raise nothing_here(study)
    if (several := several_here(study)) is not None:
        raise several
    if not is_study(study):
        raise nothing_here(study)
    if is_held(study):
        raise ResultError("an llem works on this study now.", where=str(study), remedy="Ask when it has ended.")


def _jobs(study: Path) -> Iterator[tuple[str, Path]]:
    """Each configuration that has a run which is done, in the study's order, with the job directory of its first one."""
    table = StudyResult(study).to_arrow(["config_hash", "directory", "status", "position"])
    rows = sorted(table.to_pylist(), key=lambda row: row["position"] or 0)
    found = {row["config_hash"]: row["directory"] for row in reversed(rows) if row["status"] == "done"}
    if not found:
        raise ResultError("no experiment of it is done.", where=str(study), remedy="Give a study that has run.")
    for key in dict.fromkeys(row["config_hash"] for row in rows):
        if key in found:
            yield key, inside(study, found[key])


def _asked(job: Path, registry: Registry, dataset: Mapping[str, Any], scoring: Mapping[str, Any]) -> dict[str, Any]:
    """One configuration as it shall answer: same model, engine and decoding, another workload."""
    config = read_object(job / EXPERIMENT, "experiment")["config"]
    meters = {key: config["measurement"][key] for key in _OF_METERS if key in config["measurement"]}
    instead = {
        "dataset": {"chat_template": bool(config["dataset"].get("chat_template")), **dataset},
        "decoding": {**config["decoding"], "length": "natural"},
        "measurement": {"scenario": "quality", **meters},
        "quality": dict(scoring),
    }
    backends = {name: spec.config for name, spec in registry[BACKENDS].items()}
    text = ready_study(job, "quality", backends, (), registry[SCENARIOS], instead)
    found: dict[str, Any] = yaml.safe_load(text)
    kept = {"backend", config["backend"], "quality", "runners", *SECTIONS}
    return {key: value for key, value in found.items() if key in kept}


def _identity(one: Mapping[str, Any], registry: Registry, settings: Sequence[str]) -> str:
    loaded = load_study(document={"name": "quality", **one}, settings=settings, **installed_parts(registry))
    (point,) = Sweep(loaded.config, registry[BACKENDS], registry[SCENARIOS], loaded.locate, loaded.base_dir)
    return point.config_hash


def _together(experiments: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The experiments as one study: its base is what all have in common, so that labels show what sets them apart."""
    flat = [dict(_flat(one)) for one in experiments]
    shared = {key: value for key, value in flat[0].items() if all(key in one and one[key] == value for one in flat)}
    own = [{key: value for key, value in one.items() if key not in shared} for one in flat]
    return {**_nested(shared), **({"experiments": own} if len(own) > 1 else {})}


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in flat.items():
        *folders, name = key.split(".")
        place = found
        for folder in folders:
            place = place.setdefault(folder, {})
        place[name] = value
    return found
