"""The accuracy of a study's configurations that llem-quality wrote beside it: `quality.json`, joined to rows by identity."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llem.plugin_api import ResultError, StudyResult, read_object

if TYPE_CHECKING:
    from collections.abc import Iterable

NAME, SCHEMA = "quality.json", 1
COLUMNS = ("accuracy", "accuracy_low", "accuracy_high")
_PREFIX = "scenario_metrics."

Accuracies = Mapping[str, Mapping[str, float]]
"""By `config_hash`, the columns that its rows get."""


def accuracies_beside(study: Path | str | StudyResult) -> Accuracies:
    """The contents of the file in the study's folder; nothing where there is none.

    Raises:
        ResultError: it is not as llem-quality writes it.
    """
    path = study.directory if isinstance(study, StudyResult) else Path(study)
    file = (path.parent if path.suffix == ".parquet" else path) / NAME
    if not file.is_file():
        return {}
    found = read_object(file, "quality")
    configurations = found.get("configurations")
    if found.get("schema") != SCHEMA or not isinstance(configurations, dict):
        raise ResultError(
            f"it is no table of accuracies of schema {SCHEMA}.", where=str(file), remedy="Write it again: llem quality."
        )
    return {key: _columns(one, file) for key, one in configurations.items()}


def _columns(one: Any, file: Path) -> dict[str, float]:
    values = one if isinstance(one, dict) else {}
    known = {name: value for name in COLUMNS if isinstance(value := values.get(name), (int, float))}
    if any(not 0 <= value <= 1 for value in known.values()):
        raise ResultError("an accuracy in it is not between 0 and 1.", where=str(file))
    return {f"{_PREFIX}{name}": float(value) for name, value in known.items()}


def join_accuracies(rows: Iterable[dict[str, Any]], known: Accuracies) -> None:
    """Give each row the accuracy of its configuration. One that was measured in the run itself stays."""
    for row in rows:
        for column, value in known.get(str(row.get("config_hash")), {}).items():
            if row.get(column) is None:
                row[column] = value
