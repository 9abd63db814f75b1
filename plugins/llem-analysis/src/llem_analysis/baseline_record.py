"""The record of an accepted baseline: the study that it is, and the size and SHA-256 of each of its files."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llem.plugin_api import ConfigError, ResultError, one_line, parse_json

MARKER = "llem-baselines.json"
"""In the root of every store; where it is missing, a folder or a branch holds something else."""

RECORD = "baseline.json"
SCHEMA = 1
MOST_RECORD = 64 * 2**20

_PLAIN = r"[A-Za-z0-9_][A-Za-z0-9._+=-]*"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_TIME = re.compile(r"[0-9T:.+Z-]{10,40}")
_FOLDER = re.compile(r"study-[A-Za-z0-9_]{8,64}")
_FILE = re.compile(rf"{_PLAIN}(?:/{_PLAIN})*")
"""No part of a path begins with a dot or a stroke, so that none leads anywhere else, and none is an option."""


@dataclass(frozen=True)
class StoredFile:
    """One file of a baseline."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Record:
    """One baseline.

    Attributes:
        study: name of the study's folder; accepted_at: UTC, ISO 8601.
        folder: where its files lie, beside the record.
        files: by name.
    """

    study: str
    accepted_at: str
    folder: str
    files: tuple[StoredFile, ...]

    def text(self) -> str:
        """As JSON."""
        document = {
            "schema_version": SCHEMA,
            "study": self.study,
            "accepted_at": self.accepted_at,
            "folder": self.folder,
            "files": {one.name: {"size": one.size, "sha256": one.sha256} for one in self.files},
        }
        return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def marker_text() -> str:
    """The content of a store's marker."""
    return json.dumps({"schema_version": SCHEMA, "holds": "baselines of llem gate"}) + "\n"


def is_name(name: str) -> bool:
    """True for a name that a baseline can have: one plain part of a path."""
    return _NAME.fullmatch(name) is not None and name != MARKER


def require_name(name: str) -> None:
    """Raise ConfigError where this is no name that a baseline can have."""
    if not is_name(name):
        raise ConfigError(
            f"`{one_line(name, 100)}` is no name of a baseline.",
            remedy="Take letters, digits, dots, strokes and underlines, 100 at the most, a letter or digit first, such as main-gpu1.",
        )


def require_file_name(name: str, where: str) -> None:
    """Raise ResultError where a file of a baseline cannot have this name."""
    if len(name) > 400 or _FILE.fullmatch(name) is None:
        raise ResultError(f"`{one_line(name, 200)}` is no name that a file of a baseline can have.", where=where)


def require_marker(data: bytes, where: str) -> None:
    """Raise ResultError where this is not the marker of a store that this llem reads."""
    try:
        found = parse_json(data)
    except ValueError:
        found = None
    if not isinstance(found, Mapping) or found.get("schema_version") != SCHEMA:
        raise ResultError(
            f"its {MARKER} is not one that this llem reads.",
            where=where,
            remedy="Take the llem that wrote it, or another store.",
        )


def parse_record(data: bytes, where: str) -> Record:
    """Read a record. Raises ResultError where it is none."""
    try:
        found = parse_json(data)
        if found["schema_version"] != SCHEMA:
            raise ValueError(f"its schema_version is {one_line(str(found['schema_version']), 20)}, and not {SCHEMA}")
        record = Record(
            study=_text(found["study"], _FILE),
            accepted_at=_text(found["accepted_at"], _TIME),
            folder=_text(found["folder"], _FOLDER),
            files=tuple(_file(name, one) for name, one in found["files"].items()),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        said = str(error) if type(error) is ValueError else "it is not as llem baseline accept writes it"
        raise ResultError(
            f"the record of this baseline cannot be taken: {said}.", where=where, remedy="Accept a baseline anew."
        ) from error
    for one in record.files:
        require_file_name(one.name, where)
    return record


def _text(value: Any, form: re.Pattern[str]) -> str:
    if not isinstance(value, str) or "/" in value or form.fullmatch(value) is None:
        raise ValueError(f"`{one_line(str(value), 100)}` is no name in it")
    return value


def _file(name: str, one: Mapping[str, Any]) -> StoredFile:
    size, sha256 = one["size"], one["sha256"]
    if type(size) is not int or size < 0 or re.fullmatch("[0-9a-f]{64}", sha256) is None:
        raise ValueError(f"it has no size and SHA-256 of `{one_line(name, 100)}`")
    return StoredFile(name, size, sha256)
