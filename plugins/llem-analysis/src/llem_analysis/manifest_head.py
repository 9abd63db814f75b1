"""A study's state and counts, without the account of each experiment: what a look at a study of 100,000 of them needs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llem.plugin_api import (
    JOURNAL,
    MANIFEST,
    MANIFEST_SCHEMA,
    PREVIOUS,
    ManifestError,
    change_of,
    is_whole_snapshot,
    open_file,
    parse_json,
    read_file,
    recover,
)

_EXPERIMENTS = b'\n "experiments": [\n'


_TAIL_BYTES = 1 << 20
"""More than any change takes."""


@dataclass(frozen=True)
class Head:
    """A manifest's facts of the study as a whole.

    Attributes:
        totals: experiments in all, and by state.
        damage: what of it could not be read, a sentence each.
    """

    name: str
    state: str
    totals: Mapping[str, int]
    damage: Sequence[str] = ()


def read_head(study_dir: Path) -> Head:
    """The state of a study at this instant, as `recover` gives it. Raises ResultError likewise."""
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
        data = read_file(study_dir / MANIFEST)
        last = _last_change(study_dir / JOURNAL)
    except (OSError, ValueError):
        return None
    end = data.find(_EXPERIMENTS)
    if end < 0 or not is_whole_snapshot(data):
        return None
    try:
        found: dict[str, Any] = parse_json(data[:end].rstrip(b",") + b"}")
        if found["schema_version"] != MANIFEST_SCHEMA or last > found["seq"]:
            return None
        head = Head(found["name"], found["state"], found["totals"])
    except (ValueError, KeyError, TypeError):
        return None
    # A stranger's may be sealed and say anything; then it is read as a whole, which says what is wrong.
    plain = isinstance(head.name, str) and isinstance(head.state, str) and isinstance(head.totals, Mapping)
    fits = plain and "experiments" in head.totals and all(type(count) is int for count in head.totals.values())
    return head if fits else None


def _last_change(path: Path) -> int:
    """The number of the last change in a journal, 0 where there is none.

    Raises:
        OSError: it cannot be read.
        ValueError: its end is not what was written, so that all of it has to be looked at.
    """
    with open_file(path) as journal:
        size = journal.seek(0, os.SEEK_END)
        if size == 0:
            return 0
        journal.seek(max(0, size - _TAIL_BYTES))
        lines = journal.read().splitlines(keepends=True)
    change = change_of(lines[-1])
    if change is None:
        raise ValueError("its end is not what was written")
    number = change.get("seq")
    if type(number) is not int:
        raise ValueError("its last line is no change")
    return number
