"""The metrics of a quality run, as columns of results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llem.plugin_api import API_VERSION, MetricSpec

ACCURACY, CORRECT = "scenario_metrics.accuracy", "scenario_metrics.correct_answers"
_ENERGY = "energy.headline.energy_j"


def specs() -> list[MetricSpec]:
    """All of them."""
    return [
        MetricSpec(
            name="accuracy",
            api_version=API_VERSION,
            summary="share of a task's questions that were answered correctly",
            label="accuracy",
            unit="1",
            better="higher",
            of=(ACCURACY,),
            value="llem_quality.metrics:accuracy",
            main=True,
            shown=True,
        ),
        MetricSpec(
            name="j_per_correct_answer",
            api_version=API_VERSION,
            summary="energy of the window over the questions that were answered correctly in it",
            label="energy per correct answer",
            unit="J",
            better="lower",
            of=(_ENERGY, CORRECT),
            value="llem_quality.metrics:j_per_correct_answer",
            energy=True,
            main=True,
            shown=True,
        ),
    ]


def accuracy(row: Mapping[str, Any]) -> float | None:
    """The share, as the scenario worked it out. What is said of it are ratios, so that a share of 0 has none."""
    found: float | None = row[ACCURACY]
    return found


def j_per_correct_answer(row: Mapping[str, Any]) -> float | None:
    """Window energy over correct answers; None without energy, and where no answer was correct."""
    energy_j, correct = row[_ENERGY], row[CORRECT]
    return energy_j / correct if energy_j is not None and correct else None
