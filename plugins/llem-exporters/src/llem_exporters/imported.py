"""Imported results as a study's folder."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import chain, count
from pathlib import Path
from typing import Any

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
from llem_exporters.importers.working_out import CONVERTED, WORKED_OUT

CODE = "imported"
MOST_NAMED = 4
"""Values of one unit that the warning names one by one; `environment.imported.values` names all."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def write_study(
    path: Path, form: ImporterSpec, name: str, output: Path, mapping: Path | None = None
) -> tuple[Path, int]:
    """Read results by an importer and write them as a study.

    Args:
        path: what the importer reads.
        form: the importer.
        name: of the study.
        output: the folder in which the study's own is made.
        mapping: the mapping file, for a form that takes one.

    Returns:
        The study's folder, and how many results it has.

    Raises:
        ResultError: the path is not there, holds nothing of this form, or no run.
        ConfigError: this is no name of a study, the folder cannot be written, or this form takes no mapping.
    """
    if mapping is not None and not form.mapping:
        raise ConfigError(f"the form `{form.name}` takes no mapping.", where="--mapping", remedy="Leave it out.")
    if not path.exists():
        raise ResultError(
            "there is nothing to import here.", where=str(path), remedy="Name a file or folder that exists."
        )
    read: Callable[..., Iterable[ExperimentResult]] = load_object(form.read)
    results = read(path, mapping) if form.mapping else read(path)
    return write_results(results, form=form.name, source=str(path), name=name, output=output, path=path)


def write_results(
    results: Iterable[ExperimentResult], *, form: str, source: str, name: str, output: Path, path: Path | None = None
) -> tuple[Path, int]:
    """Write imported results as a study.

    Args:
        form: the importer's name.
        source: what was read, for people.
        name: of the study.
        output: the folder in which the study's own is made.
        path: the file or folder that was read; None where there was none.

    Raises:
        ResultError: there is no result.
        ConfigError: this is no name of a study, or the folder cannot be written.
    """
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"`{name}` is no name of a study.", where="--name", remedy="Use letters, digits, `.`, `_` and `-`."
        )
    found = iter(results)
    first = next(found, None)
    if first is None:
        raise ResultError(f"it holds no run in the form `{form}`.", where=source)
    folder = _new_folder(output.expanduser().absolute(), f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
    try:
        written = 0
        for written, result in enumerate(chain([first], found), 1):
            _write(folder / EXPERIMENTS / f"{written:05}", _marked(result, folder.name, form, source, path), path)
        aggregate(folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)  # half a study would look like a whole one
        raise
    return folder, written


def _new_folder(output: Path, name: str) -> Path:
    """A folder that was not there; one of the same second gets a number."""
    for number in count(1):
        folder = output / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
            (folder / EXPERIMENTS).mkdir()
        except FileExistsError:
            if folder.is_dir():
                continue
            raise ConfigError(
                "a file is in its place.", where=str(folder), remedy="Choose another with --output."
            ) from None
        except OSError as error:
            raise ConfigError(
                f"it cannot be made: {error.strerror}.", where=str(folder), remedy="Choose another place with --output."
            ) from error
        return folder
    raise AssertionError("numbers have no end")


def _marked(result: ExperimentResult, study: str, form: str, source: str, path: Path | None) -> ExperimentResult:
    """The result with its new study, and where it came from."""
    told = result.environment.get("imported") or {}
    about = {"from": form, "path": None if path is None else str(path.absolute()), "by": f"llem {version('llem')}"}
    message = (
        f"read from {source} ({form}); llem did not measure it: figures are by that tool's definitions, and what its file does "
        f"not tell is null.{_said(told)}"
    )
    return result.model_copy(
        update={
            "identity": result.identity.model_copy(update={"study": study}),
            "environment": {**result.environment, "imported": {**told, **about}},
            "warnings": [ResultWarning(code=CODE, message=message), *result.warnings],
        }
    )


def _said(told: Mapping[str, Any]) -> str:
    """Sentences on values that were converted or worked out, and the importer's own remarks."""
    values: Mapping[str, str] = told.get("values") or {}
    units: dict[str, list[str]] = {}
    for column, source in values.items():
        name, found, unit = source.partition(CONVERTED)
        if found:
            units.setdefault(unit, []).append(f"{column} ({name})")
    converted = [
        f"{', '.join(names) if len(names) <= MOST_NAMED else f'{len(names)} values'} from {unit}"
        for unit, names in units.items()
    ]
    derived = [
        f"{column} ({source.removeprefix(WORKED_OUT)})"
        for column, source in values.items()
        if source.startswith(WORKED_OUT)
    ]
    parts = [f"Units converted: {'; '.join(converted)}"] if converted else []
    parts += [f"Worked out from other values: {', '.join(derived)}"] if derived else []
    return "".join(f" {part[:1].upper()}{part[1:]}." for part in (*parts, *(told.get("notes") or ())))


def _write(job_dir: Path, result: ExperimentResult, path: Path | None) -> None:
    job_dir.mkdir()
    identity = result.identity
    JobDocument(
        config=result.config,
        config_hash=identity.config_hash,
        base_dir=str(Path().absolute() if path is None else path.absolute().parent),
        study=identity.study,
        cycle=identity.cycle,
        position=identity.position,
        point=identity.point,
    ).write(job_dir)
    write_atomically(job_dir / RESULT, result.model_dump_json(indent=1) + "\n")
