"""The registrations of llem-quality. Importing this imports nothing of lm-evaluation-harness."""

from __future__ import annotations

from collections.abc import Sequence

from llem.plugin_api import (
    API_VERSION,
    ChartSpec,
    CheckSpec,
    CommandSpec,
    DatasetSpec,
    MetricSpec,
    ScenarioSpec,
    hookimpl,
)
from llem_quality import metrics
from llem_quality.config import QualityConfig


@hookimpl
def llem_scenarios() -> Sequence[ScenarioSpec]:
    """The scenario `quality`, with its section of the same name."""
    return [
        ScenarioSpec(
            name="quality",
            api_version=API_VERSION,
            summary="each question of a task once, in batches as the backend forms them, and the answers scored",
            generator="llem_quality.generator:QualityLoad",
            sections={"quality": QualityConfig},
            # An answer that goes on after its end would be another answer.
            defaults={"decoding": {"length": "natural"}},
        )
    ]


@hookimpl
def llem_datasets() -> Sequence[DatasetSpec]:
    """The questions of a task."""
    return [
        DatasetSpec(
            name="lm_eval",
            api_version=API_VERSION,
            summary="questions of a task of lm-evaluation-harness: its file or its name (dataset.path)",
            loader="llem_quality.dataset:load",
            requires=("lm_eval",),
            install="pip install 'llem-quality[harness]'",
        )
    ]


@hookimpl
def llem_preflight_checks() -> Sequence[CheckSpec]:
    """Answers can be scored before they are asked for."""
    return [
        CheckSpec(
            name="quality",
            api_version=API_VERSION,
            summary="answers to a task can be scored as right or wrong",
            check="llem_quality.preflight:check_scoring",
        )
    ]


@hookimpl
def llem_metrics() -> Sequence[MetricSpec]:
    """Accuracy, and energy per correct answer."""
    return metrics.specs()


@hookimpl
def llem_commands() -> Sequence[CommandSpec]:
    """The command `quality`."""
    return [
        CommandSpec(
            name="quality",
            api_version=API_VERSION,
            summary="accuracy of each configuration of a finished study",
            command="llem_quality.command:quality",
        )
    ]


@hookimpl
def llem_charts() -> Sequence[ChartSpec]:
    """Energy against accuracy."""
    return [
        ChartSpec(
            name="energy-quality",
            api_version=API_VERSION,
            summary="energy per question against accuracy, with its interval",
            draw="llem_quality.chart:draw",
            scenario="quality",
        )
    ]
