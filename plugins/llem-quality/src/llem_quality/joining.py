"""The file that joins a finished study with the accuracy of its configurations: `quality.json` in the study's folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llem.plugin_api import StudyResult, write_text
from llem_analysis.quality_file import NAME, SCHEMA

_COLUMNS = {
    "accuracy": "scenario_metrics.accuracy",
    "accuracy_low": "scenario_metrics.accuracy_low",
    "accuracy_high": "scenario_metrics.accuracy_high",
    "correct_answers": "scenario_metrics.correct_answers",
    "answers": "scenario_metrics.answers",
}
_OF_TASK = {"task": "dataset.provenance", "sha256": "dataset.sha256"}


@dataclass(frozen=True)
class Joined:
    """The outcome: how many configurations have an accuracy now, and how many of the study have none."""

    known: int
    lacking: int


def join(study: Path, quality: Path, identities: Mapping[str, str]) -> Joined:
    """Write `quality.json` for a study, where any configuration was asked every question.

    Args:
        study: its folder.
        quality: the folder of the study of its quality, inside of it.
        identities: `config_hash` in the one to that in the other.
    """
    asked = ["config_hash", "directory", "status", *_COLUMNS.values(), *_OF_TASK.values()]
    rows = {
        row["config_hash"]: row for row in StudyResult(quality).to_arrow(asked).to_pylist() if row["status"] == "done"
    }
    found = {key: _entry(rows[own]) for key, own in identities.items() if own in rows}
    if not found:
        return Joined(0, len(identities))  # an interrupted run takes nothing away
    first = next(iter(rows.values()))
    document = {
        "schema": SCHEMA,
        "study": str(quality.relative_to(study)),
        **{name: first.get(column) for name, column in _OF_TASK.items()},
        "configurations": found,
    }
    write_text(study / NAME, json.dumps(document, ensure_ascii=False, indent=1) + "\n")
    return Joined(len(found), len(identities) - len(found))


def _entry(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "config_hash": row["config_hash"],
        "directory": row["directory"],
        **{name: row.get(column) for name, column in _COLUMNS.items()},
    }
