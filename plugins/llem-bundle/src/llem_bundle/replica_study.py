"""The study of a bundle as a document that runs elsewhere: the same settings, cycles and seeds, and no path that leads outside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llem.plugin_api import MANIFEST, RESULT, ResultError, read_object, read_record
from llem_bundle.figures import at
from llem_bundle.study_files import job_names

_SEEDED = ("dataset", "decoding", "load")
_OF_SITE = "runner_options"
"""The section of the site's own settings: partitions of a cluster, folders that a container sees."""


@dataclass(frozen=True)
class Original:
    """A study that is to be run again, as its unpacked bundle tells it.

    Attributes:
        document: all its layers merged: study file, command line, environment and user file of who ran it.
        hashes: the identities of its configurations.
        runners: of each backend the runner with its argument, and the digest of its image where there was one.
        samplers: names of those that measured.
        results: one result of each configuration.
        hosts: what was recorded of the machines that it was started and resumed on.
    """

    name: str
    document: Mapping[str, Any]
    manifest: Mapping[str, Any]
    hashes: frozenset[str]
    runners: Mapping[str, tuple[str, str | None]]
    samplers: tuple[str, ...]
    results: tuple[Mapping[str, Any], ...]
    hosts: tuple[Mapping[str, Any], ...]


def original_of(folder: Path) -> Original:
    """Read an unpacked bundle.

    Raises:
        ResultError: it is of a study that was imported, or its record cannot be read.
    """
    if not (folder / "study.json").is_file():
        raise ResultError(
            "it has no record of what the study was started with (study.json), so that it cannot be run again: its results were "
            "imported from another tool.",
            remedy="Replicate a study that llem ran.",
        )
    record, manifest = read_record(folder), read_object(folder / MANIFEST, "manifest")
    entries = manifest.get("experiments")
    hashes = {str(at(one, "config_hash")) for one in entries} if isinstance(entries, list) else set()
    results = list(_results(folder))
    runners = dict(_runners(results, record.runner))
    used = [
        str(at(one, "name")) for result in results for one in (result.get("samplers") or ()) if at(one, "used") is True
    ]
    return Original(
        name=str(manifest.get("name") or "study"),
        document=record.document,
        manifest=manifest,
        hashes=frozenset(hashes),
        runners=runners,
        samplers=tuple(dict.fromkeys(used)),
        results=tuple(results),
        hosts=tuple(record.hosts),
    )


def document_again(original: Original) -> tuple[dict[str, Any], list[str]]:
    """The document that runs the study again, and a sentence on each thing that is not as it was."""
    document: dict[str, Any] = deepcopy(dict(original.document))
    notes = []
    if document.pop(_OF_SITE, None):
        notes.append(f"`{_OF_SITE}` is left out: it is of the machine that measured; your own file may set it")
    document.setdefault("name", original.name)
    if original.runners:
        given = document.get("runners")
        document["runners"] = {name: text for name, (text, _) in original.runners.items()}
        if isinstance(given, Mapping):
            document["runners"] |= given
    _write_out_execution(document, original.manifest)
    _write_out_seeds(document, original.results)
    return document, notes


def _results(folder: Path) -> Iterator[dict[str, Any]]:
    seen: set[str] = set()
    for job in job_names(folder):
        if not (folder / job / RESULT).is_file():
            continue
        result = read_object(folder / job / RESULT, "result")
        identity = str(at(result, "identity.config_hash"))
        if identity not in seen and result.get("status") == "done":
            seen.add(identity)
            yield result


def _runners(results: list[dict[str, Any]], for_all: str | None) -> Iterator[tuple[str, tuple[str, str | None]]]:
    """The runner of each backend: a figure in a container belongs to its image, also where llem chose it."""
    for result in results:
        backend, of_run = at(result, "config.backend"), at(result, "environment.study.runner")
        name, argument, image = (at(of_run, key) for key in ("name", "argument", "image_id"))
        if not isinstance(backend, str) or (name in (None, "local") and for_all is None):
            continue
        text = f"{name}:{argument}" if argument else str(name)
        yield backend, (text if for_all is None else for_all, image if isinstance(image, str) else None)


def _write_out_execution(document: dict[str, Any], manifest: Mapping[str, Any]) -> None:
    execution = document.setdefault("execution", {})
    if not isinstance(execution, dict):
        return
    keys = ["order", "seed"]
    if manifest.get("until") is None and at(execution, "search.goal") is None:
        keys.append("cycles")
    for key in keys:
        if manifest.get(key) is not None:
            execution.setdefault(key, manifest[key])


def _write_out_seeds(document: dict[str, Any], results: tuple[Mapping[str, Any], ...]) -> None:
    """Seeds that were defaults, so that another version of llem with another default draws the same."""
    apart = document.get("sweep"), document.get("experiments")
    named = {str(key).split(".")[0] for key in _keys(apart)}
    for section in _SEEDED:
        seeds = {at(one, f"config.{section}.seed") for one in results}
        seed = seeds.pop() if len(seeds) == 1 else None
        if seed is None or section in named:
            continue
        if section not in document:
            document[section] = {"seed": seed}
        elif isinstance(document[section], dict):
            document[section].setdefault("seed", seed)


def _keys(value: Any) -> Iterator[object]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield key
            yield from _keys(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _keys(inner)
