"""Files of prompts and arrivals that a study names, as files of its bundle, where who bundles it asks for them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO, Any

from llem.plugin_api import RESULT, ResultError, open_file, read_object, read_record
from llem_bundle.container import Content
from llem_bundle.figures import at
from llem_bundle.listing import is_name
from llem_bundle.named_files import named_files
from llem_bundle.study_files import job_names

INPUTS = "inputs"
INDEX = f"{INPUTS}/index.json"
"""The file that says under which name of the bundle each file that the study names stands."""


def prompt_files(study: Path) -> list[tuple[Content, Path | None]]:
    """The files, each with where it lies, and their index.

    Raises:
        ResultError: one cannot be read, or is not what the study ran with any more.
    """
    record = read_record(study)
    known = digests_of_prompts(study)
    index: dict[str, str] = {}
    found: list[tuple[Content, Path | None]] = []
    for number, one in enumerate((one for one in named_files(record.document) if one.of_prompts), 1):
        path = Path(record.base_dir, Path(one.text).expanduser())
        name = f"{INPUTS}/{number}{PurePosixPath(one.text).suffix}"
        index[one.text] = name if is_name(name) else f"{INPUTS}/{number}"
        digest = digest_of(path)
        if digest not in known.get(one.text, {digest}):
            raise ResultError(
                "it is not the file that the study ran with any more: its SHA-256 is another.",
                where=str(path),
                remedy="Put that file back, or bundle without --with-prompts.",
            )
        found.append((Content(index[one.text], partial(open_file, path)), path))
    data = (json.dumps(index, ensure_ascii=False, indent=1) + "\n").encode()
    opener: Callable[[], IO[Any]] = lambda: BytesIO(data)  # noqa: E731
    return [*found, (Content(INDEX, opener), None)] if found else []


def digest_of(path: Path) -> str:
    """The SHA-256 of a file. Raises ResultError where it cannot be read."""
    digest = hashlib.sha256()
    try:
        with open_file(path) as stream:
            for block in iter(lambda: stream.read(1 << 20), b""):
                digest.update(block)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise ResultError(f"it cannot be read: {reason or error}.", where=str(path)) from error
    return digest.hexdigest()


def digests_of_prompts(study: Path) -> dict[str, set[str]]:
    """The path of each jsonl dataset, as the study wrote it, with the SHA-256 that results tell of its file."""
    found: dict[str, set[str]] = {}
    for path, digest in _digests(study):
        found.setdefault(path, set()).add(digest)
    return found


def _digests(study: Path) -> Iterator[tuple[str, str]]:
    for job in job_names(study):
        if (study / job / RESULT).is_file():
            result = read_object(study / job / RESULT, "result")
            path, digest = at(result, "config.dataset.path"), at(result, "dataset.sha256")
            # Of a jsonl file it is the file's own; of other datasets it may be taken over something else.
            is_file = at(result, "config.dataset.name") == "jsonl"
            if is_file and isinstance(path, str) and isinstance(digest, str):
                yield path, digest
