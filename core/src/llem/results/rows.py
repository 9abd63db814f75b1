"""One flat row for each experiment and cycle, read from the job directories of a study."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from llem.errors import ResultError
from llem.results.columns import fixed_columns, total_columns
from llem.results.models import ExperimentResult
from llem.results.store import job_directories, read_result

UNREADABLE = "unreadable"
"""Status of a row whose `result.json` is there and cannot be read."""


def study_rows(study_dir: Path) -> Iterator[dict[str, Any]]:
    """A row for each `result.json` of a study. One that cannot be read becomes a row of status `unreadable`."""
    for directory in job_directories(study_dir):
        name = directory.relative_to(study_dir).as_posix()
        try:
            result = read_result(directory)
        except ResultError as error:
            yield {
                "directory": name,
                "status": UNREADABLE,
                "failure.type": type(error).__name__,
                "failure.message": str(error),
            }
        else:
            yield result_row(result, name)


def result_row(result: ExperimentResult, directory: str) -> dict[str, Any]:
    """A result as a flat row: swept values as `point.KEY`, configuration as `config.…`, every scalar figure by its path."""
    data = result.model_dump(mode="json")
    row: dict[str, Any] = {"directory": directory}
    for column in fixed_columns():
        row.setdefault(column.name, _at(data, column.name))
    identity = data["identity"]
    row.update({name: identity[name] for name in ("study", "config_hash", "cycle", "position")})
    row.update({f"point.{key}": value for key, value in identity["point"].items()})
    row.update(_flat(data["config"], "config"))
    row["warnings"] = [w["code"] for w in data["warnings"]]
    row["warning_messages"] = [w["message"] for w in data["warnings"]]
    if data["energy"]:
        for total in data["energy"]["totals"]:
            prefix = f"energy.{total['scope']}.{total['method']}"
            for column in total_columns(total["scope"], total["method"]):
                row[column.name] = total[column.name.removeprefix(prefix + ".")]
    return row


def _at(data: Any, path: str) -> Any:
    for key in path.split("."):
        if not isinstance(data, Mapping):
            return None
        data = data.get(key)
    return data


def _flat(data: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}.{key}")
        else:
            yield f"{prefix}.{key}", value
