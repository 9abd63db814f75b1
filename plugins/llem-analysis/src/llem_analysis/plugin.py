"""The registration of llem-analysis. Importing this imports neither click nor numpy."""

from __future__ import annotations

from collections.abc import Sequence

from llem.plugin_api import API_VERSION, CommandSpec, MetricSpec, StoppingSpec, hookimpl
from llem_analysis.metrics import metrics


@hookimpl
def llem_commands() -> Sequence[CommandSpec]:
    """The commands `analyze`, `audit`, `baseline`, `compare`, `gate`, `pareto`, `pick` and `show`."""
    return [
        CommandSpec(
            name="analyze",
            api_version=API_VERSION,
            summary="which swept parameters matter, and how much",
            command="llem_analysis.commands.analyze:analyze",
        ),
        CommandSpec(
            name="audit",
            api_version=API_VERSION,
            summary="whether a study may be published, rule by rule",
            command="llem_analysis.commands.audit:audit",
        ),
        CommandSpec(
            name="baseline",
            api_version=API_VERSION,
            summary="studies that a gate holds candidates against",
            command="llem_analysis.commands.baseline:baseline",
        ),
        CommandSpec(
            name="compare",
            api_version=API_VERSION,
            summary="differences between experiments or studies, tested",
            command="llem_analysis.commands.compare:compare",
        ),
        CommandSpec(
            name="gate",
            api_version=API_VERSION,
            summary="whether a candidate is worse than a baseline, for CI",
            command="llem_analysis.commands.gate:gate",
        ),
        CommandSpec(
            name="pareto",
            api_version=API_VERSION,
            summary="what is worth choosing among, by two figures or more",
            command="llem_analysis.commands.pareto:pareto",
        ),
        CommandSpec(
            name="pick",
            api_version=API_VERSION,
            summary="the best configuration within limits, as a study to run",
            command="llem_analysis.commands.pick:pick",
        ),
        CommandSpec(
            name="show",
            api_version=API_VERSION,
            summary="show a study or a result as a table",
            command="llem_analysis.commands.show:show",
        ),
    ]


@hookimpl
def llem_metrics() -> Sequence[MetricSpec]:
    """Energy, throughput, latency and memory."""
    return metrics()


@hookimpl
def llem_stopping_rules() -> Sequence[StoppingSpec]:
    """The stopping rule `narrow_interval`."""
    return [
        StoppingSpec(
            name="narrow_interval",
            api_version=API_VERSION,
            summary="enough once the 95 % interval of one figure is narrow (execution.until)",
            rule="llem_analysis.stopping:NarrowInterval",
        )
    ]
