"""The registration of llem-serving. Importing this imports neither click nor numpy."""

from __future__ import annotations

from collections.abc import Sequence

from llem.plugin_api import API_VERSION, CommandSpec, DatasetSpec, MetricSpec, ScenarioSpec, hookimpl
from llem_serving import metrics
from llem_serving.config import LoadConfig, SloConfig


@hookimpl
def llem_scenarios() -> Sequence[ScenarioSpec]:
    """The scenario `server`, with the sections `load` and `slo`."""
    return [
        ScenarioSpec(
            name="server",
            api_version=API_VERSION,
            summary="requests arrive by a process, or from users who wait and think",
            generator="llem_serving.generator:ServerLoad",
            needs=frozenset({"streaming", "concurrent"}),
            sections={"load": LoadConfig, "slo": SloConfig},
            # Answers end where they end: an operator's load has the lengths that the model gives it.
            defaults={"decoding": {"length": "natural"}},
        )
    ]


@hookimpl
def llem_datasets() -> Sequence[DatasetSpec]:
    """Prompts that have a prefix in common."""
    return [
        DatasetSpec(
            name="shared_prefix",
            api_version=API_VERSION,
            summary="random token ids of an exact length, whose prefix (dataset.prefix_share) all prompts have in common",
            loader="llem_serving.datasets.shared_prefix:load",
        )
    ]


@hookimpl
def llem_commands() -> Sequence[CommandSpec]:
    """The command `slo`."""
    return [
        CommandSpec(
            name="slo",
            api_version=API_VERSION,
            summary="judge finished studies by other objectives",
            command="llem_serving.slo_command:slo",
        )
    ]


@hookimpl
def llem_metrics() -> Sequence[MetricSpec]:
    """Goodput, attainment, and energy per good token."""
    return metrics.specs()
