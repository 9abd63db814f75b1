"""`study.json`: what a study was started with, so that it can go on from its folder alone, on any host and after any edit."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Strict
from pydantic.dataclasses import dataclass

from llem.config.keys import Vocabulary
from llem.config.layers import LoadedStudy, load_study
from llem.config.merging import Origin, nested
from llem.config.reading import read_yaml
from llem.errors import ResultError
from llem.plugins import installed_parts
from llem.results.job_directory import write_atomically
from llem.results.rows import value_at
from llem.results.store import read_object
from llem.results.validation import EXACT, problem_of
from llem.specs.kinds import BACKENDS, RUNNERS, SCENARIOS
from llem.study.folder import STUDY_FILE

if TYPE_CHECKING:
    from llem.plugins import Registry

RECORD = "study.json"
RECORD_SCHEMA = 1

_ABOVE = {"command line", "environment"}


@dataclass(frozen=True, kw_only=True, config=EXACT)
class StudyRecord:
    """The record of what a study was started with.

    Attributes:
        document: the study with all its layers merged, as a study file would say it.
        origins: dotted key of each value that a layer gave to the layer's kind and the place in it.
        base_dir: the folder that relative paths start from.
        path: the study file, absolute; None where there was none.
        text: its content.
        runner: where every backend was asked to run, for all at once; None where nobody asked.
        hosts: where it was started and resumed, in order, with what distinguishes the machines (`llem.study.hosts`).
    """

    document: Mapping[str, Any]
    origins: Mapping[str, Annotated[tuple[str, str | None], Strict(False)]]
    base_dir: str
    path: str | None = None
    text: str | None = None
    runner: str | None = None
    hosts: Sequence[Mapping[str, Any]] = field(default_factory=list)
    schema_version: int = RECORD_SCHEMA

    def write(self, directory: Path) -> None:
        """Put it into the study's folder, atomically. Raises OSError."""
        text = json.dumps(asdict(self), indent=1, default=str)
        write_atomically(directory / RECORD, text + "\n")


def record_of(study: LoadedStudy, *, runner: str | None, hosts: Sequence[Mapping[str, Any]]) -> StudyRecord:
    """The record of a study that starts, or goes on."""
    return StudyRecord(
        document=document_of(study),
        origins={key: (origin.kind, origin.where) for key, origin in study.origins.items()},
        base_dir=str(study.base_dir),
        path=str(study.path.resolve()) if study.path is not None else None,
        text=study.text,
        runner=runner,
        hosts=list(hosts),
    )


def keep_study_file(directory: Path, text: str | None) -> None:
    """Put a copy of the study file into the study's folder, for its readers. Raises OSError."""
    if text is not None:
        write_atomically(directory / STUDY_FILE, text)


def document_of(study: LoadedStudy) -> dict[str, Any]:
    """A study with all its layers merged, as one mapping that says the same."""
    config = study.config
    return {**config.base, **config.model_dump(mode="json", exclude_unset=True, exclude={"base"})}


def read_record(directory: Path) -> StudyRecord:
    """The record of a study. Raises ResultError where it is missing, damaged or of another version."""
    path = directory / RECORD
    data = read_object(path, "record of the study")
    if data.get("schema_version") != RECORD_SCHEMA:
        raise ResultError(
            f"this record is of schema version {data.get('schema_version')}; this llem reads version {RECORD_SCHEMA}.",
            where=str(path),
            remedy="Use the version of llem that wrote it.",
        )
    try:
        record = StudyRecord(**data)
        if "\0" in record.base_dir:
            raise ValueError("`base_dir` names no folder that there can be")
    except (TypeError, ValueError) as error:
        raise ResultError(f"it is not a whole record: {problem_of(error)}.", where=str(path)) from error
    return record


def as_started(record: StudyRecord, registry: Registry, asked: Mapping[str, Any]) -> LoadedStudy:
    """The study as it was started, with what is `asked` for now; nothing of today's environment or files is in it.

    Raises ConfigError or PluginError where this llem, with its plugins, does not understand it any more.
    """
    study = load_study(
        document=record.document,
        overrides=asked,
        environ={},
        user=read_yaml("{}", "nothing", may_be_empty=True),
        base_dir=Path(record.base_dir),
        **installed_parts(registry),
    )
    origins = {**_origins(record), **{key: Origin("command line") for key in asked}}
    return replace(study, **_facts(record), origins=origins, notes=())


def as_edited(record: StudyRecord, file: Path, registry: Registry, asked: Mapping[str, Any]) -> LoadedStudy:
    """The study as its file says now, under what the command line, environment and user file said when it was started."""
    above, below = {}, {}
    for key, origin in _origins(record).items():
        found = value_at(record.document, key.split("."))
        if found is not None and origin.kind in _ABOVE:
            above[key] = found
        elif found is not None and origin.kind == "user file":
            below[key] = found
    vocabulary = Vocabulary(registry[BACKENDS], registry[RUNNERS], registry[SCENARIOS])
    study = load_study(
        file,
        overrides={**above, **asked},
        environ={},
        user=read_yaml(json.dumps(nested(below, vocabulary)), "user file", may_be_empty=True),
        base_dir=Path(record.base_dir),
        **installed_parts(registry),
    )
    known = _origins(record)
    origins = {key: known[key] if key in above or key in below else origin for key, origin in study.origins.items()}
    return replace(study, **{**_facts(record), "text": study.text}, origins=origins)


def _facts(record: StudyRecord) -> dict[str, Any]:
    return {"path": Path(record.path) if record.path is not None else None, "text": record.text}


def _origins(record: StudyRecord) -> dict[str, Origin]:
    return {key: Origin(kind, where) for key, (kind, where) in record.origins.items()}
