"""A study's state and counts, without the account of each experiment: what a look at a study of 100,000 of them needs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llem.results.store import MANIFEST
from llem.study.journal import JOURNAL, change_of
from llem.study.manifest import MANIFEST_SCHEMA, PREVIOUS, ManifestError, recover, whole

_EXPERIMENTS = b'\n "experiments": [\n'


_TAIL_BYTES = 1 << 20
"""More than any change takes."""


@dataclass(frozen=True)
class Head:
    """What a manifest says of the study as a whole.

    Attributes:
        totals: experiments in all, and by state.
        damage: what of it could not be read, a sentence each.
    """

    name: str
    state: str
    totals: Mapping[str, int]
    damage: Sequence[str] = ()


def read_head(study_dir: Path) -> Head:
    """The state of a study at this instant, as `read_manifest` gives it. Raises ResultError likewise."""
    found = _of_snapshot(study_dir)
    if found is not None:
        return found
    recovered = recover(study_dir)
    manifest = recovered.manifest
    return Head(manifest.name, manifest.state, manifest.totals, recovered.damage)


def head_beside_results(folder: Path, *, has_results: bool) -> tuple[Head | None, list[str]]:
    """The head of a folder that may hold results without a manifest, or with a lost one: then None, and what was lost.

    Raises:
        ResultError: the manifest cannot be read, and there are no results either.
    """
    if not (folder / MANIFEST).exists() and not (folder / PREVIOUS).exists():
        return None, []
    try:
        return read_head(folder), []
    except ManifestError as error:
        if not has_results:
            raise
        return None, [str(error)]


def _of_snapshot(study_dir: Path) -> Head | None:
    """The head of `manifest.json`, where it is whole and no later change is in the journal; else None."""
    try:
        data = (study_dir / MANIFEST).read_bytes()
        last = _last_change(study_dir / JOURNAL)
    except (OSError, ValueError):
        return None
    end = data.find(_EXPERIMENTS)
    if end < 0 or not whole(data):
        return None
    try:
        found: dict[str, Any] = json.loads(data[:end].rstrip(b",") + b"}")
        if found["schema_version"] != MANIFEST_SCHEMA or last > found["seq"]:
            return None
        return Head(found["name"], found["state"], found["totals"])
    except (ValueError, KeyError, TypeError):
        return None


def _last_change(path: Path) -> int:
    """The number of the last change in a journal, 0 where there is none.

    Raises:
        OSError: it cannot be read.
        ValueError: its end is not what was written, so that all of it has to be looked at.
    """
    with path.open("rb") as journal:
        size = journal.seek(0, os.SEEK_END)
        if size == 0:
            return 0
        journal.seek(max(0, size - _TAIL_BYTES))
        lines = journal.read().splitlines(keepends=True)
    change = change_of(lines[-1])
    if change is None:
        raise ValueError("its end is not what was written")
    return int(change["seq"])
