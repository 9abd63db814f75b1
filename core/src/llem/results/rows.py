"""One flat row for each experiment and cycle, read from the job directories of a study."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from llem.errors import ResultError
from llem.files import OutsideError, inside
from llem.results.columns import fixed_columns, total_columns
from llem.results.facts import Facts, facts_of
from llem.results.job_directory import RESULT
from llem.results.models import ExperimentResult
from llem.results.stamps import GONE, MODIFIED, SIZE, Stamp, stamp_of
from llem.results.store import job_directories, read_result

UNREADABLE = "unreadable"
"""Status of a row whose `result.json` is there and cannot be read."""


def study_rows(study_dir: Path) -> Iterator[dict[str, Any]]:
    """A row for each `result.json` of a study. One that cannot be read becomes a row of status `unreadable`."""
    return rows_of(study_dir, (d.relative_to(study_dir).as_posix() for d in job_directories(study_dir)))


def rows_of(study_dir: Path, names: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The same for some job directories, by their names relative to the study's folder. One that is gone gives no row."""
    for name in names:
        # Looked at before it is read: what changes in between is read again.
        stamp = GONE
        try:
            directory = inside(study_dir, name)
            stamp = stamp_of(directory)
            row = result_row(read_result(directory), name)
        except ResultError as error:
            if not isinstance(error, OutsideError) and stamp == GONE and not os.path.lexists(directory / RESULT):
                continue
            row = {"directory": name, "status": UNREADABLE}
            row |= {"failure.type": type(error).__name__, "failure.message": str(error)}
        yield stamped(row, stamp)


def stamped(row: dict[str, Any], stamp: Stamp) -> dict[str, Any]:
    """The row with the stamp of the file that it was read from."""
    row[MODIFIED], row[SIZE] = stamp
    return row


def result_row(result: ExperimentResult, directory: str) -> dict[str, Any]:
    """A result as a flat row: swept values as `point.KEY`, configuration as `config.…`, every scalar figure by its path."""
    data = result.model_dump(mode="json")
    if data["facts"] is None and result.environment:
        data["facts"] = _facts_of_old(result).model_dump(mode="json")
    row: dict[str, Any] = {"directory": directory}
    for name, keys in _fixed_paths():
        row.setdefault(name, value_at(data, keys))
    identity = data["identity"]
    row.update({name: identity[name] for name in ("study", "config_hash", "cycle", "position")})
    row.update({f"point.{key}": value for key, value in identity["point"].items()})
    row.update(_flat(data["config"], "config"))
    row.update({f"scenario_metrics.{name}": value for name, value in data["scenario_metrics"].items()})
    row["warnings"] = [w["code"] for w in data["warnings"]]
    row["warning_messages"] = [w["message"] for w in data["warnings"]]
    if data["energy"]:
        for total in data["energy"]["totals"]:
            prefix = f"energy.{total['scope']}.{total['method']}"
            for column in total_columns(total["scope"], total["method"]):
                row[column.name] = total[column.name.removeprefix(prefix + ".")]
    return row


def _facts_of_old(result: ExperimentResult) -> Facts:
    """Facts that the environment of an earlier version tells; it keeps to no shape."""
    return facts_of(
        result.environment,
        result.model.revision if result.model else None,
        result.dataset.sha256 if result.dataset else None,
    )


@cache
def _fixed_paths() -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Each fixed column with the keys of its path: tables of thousands of rows split no name again."""
    return tuple((column.name, tuple(column.name.split("."))) for column in fixed_columns())


def value_at(data: Any, keys: Iterable[str]) -> Any:
    """A value inside of plain data by the keys that lead to it; None where there is none."""
    for key in keys:
        if not isinstance(data, dict):  # as JSON has it; `Mapping` would take most of a row's time
            return None
        data = data.get(key)
    return data


def _flat(data: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}.{key}")
        else:
            yield f"{prefix}.{key}", value
