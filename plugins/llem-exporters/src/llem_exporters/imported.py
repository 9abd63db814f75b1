"""Imported results as a study's folder."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import chain
from pathlib import Path

from llem.plugin_api import (
    EXPERIMENTS,
    RESULT,
    ConfigError,
    ExperimentResult,
    ImporterSpec,
    JobDocument,
    ResultError,
    ResultWarning,
    aggregate,
    load_object,
    write_atomically,
)

CODE = "imported"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def write_study(path: Path, form: ImporterSpec, name: str, output: Path) -> tuple[Path, int]:
    """Read results by an importer and write them as a study.

    Args:
        path: what the importer reads.
        form: the importer.
        name: of the study.
        output: the folder in which the study's own is made.

    Returns:
        The study's folder, and how many results it has.

    Raises:
        ResultError: the path is not there, holds nothing of this form, or no run.
        ConfigError: this is no name of a study, or the folder cannot be written.
    """
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"`{name}` is no name of a study.", where="--name", remedy="Use letters, digits, `.`, `_` and `-`."
        )
    if not path.exists():
        raise ResultError(
            "there is nothing to import here.", where=str(path), remedy="Name a file or folder that exists."
        )
    read: Callable[[Path], Iterable[ExperimentResult]] = load_object(form.read)
    found = iter(read(path))
    first = next(found, None)
    if first is None:
        raise ResultError(f"it holds no run in the form `{form.name}`.", where=str(path))
    folder = output.expanduser().absolute() / f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    try:
        (folder / EXPERIMENTS).mkdir(parents=True)
    except OSError as error:
        raise ConfigError(
            f"it cannot be made: {error.strerror}.", where=str(folder), remedy="Choose another place with --output."
        ) from error
    try:
        count = 0
        for count, result in enumerate(chain([first], found), 1):
            _write(folder / EXPERIMENTS / f"{count:05}", _marked(result, folder.name, form.name, path), path)
        aggregate(folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)  # half a study would look like a whole one
        raise
    return folder, count


def _marked(result: ExperimentResult, study: str, form: str, path: Path) -> ExperimentResult:
    """The result with its new study, and where it came from."""
    source = {"from": form, "path": str(path.absolute()), "by": f"llem {version('llem')}"}
    message = (
        f"read from {path} ({form}); llem did not measure it: figures are by that tool's definitions, and what its file does "
        "not tell is null."
    )
    return result.model_copy(
        update={
            "identity": result.identity.model_copy(update={"study": study}),
            "environment": {**result.environment, "imported": source},
            "warnings": [ResultWarning(code=CODE, message=message), *result.warnings],
        }
    )


def _write(job_dir: Path, result: ExperimentResult, path: Path) -> None:
    job_dir.mkdir()
    identity = result.identity
    JobDocument(
        config=result.config,
        config_hash=identity.config_hash,
        base_dir=str(path.absolute().parent),
        study=identity.study,
        cycle=identity.cycle,
        position=identity.position,
        point=identity.point,
    ).write(job_dir)
    write_atomically(job_dir / RESULT, result.model_dump_json(indent=1) + "\n")
