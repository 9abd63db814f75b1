"""The registration of llem-serving. Importing this imports neither click nor numpy."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from llem.plugin_api import (
    API_VERSION,
    ChartSpec,
    CheckSpec,
    CommandSpec,
    DatasetSpec,
    MetricSpec,
    ScenarioSpec,
    SearchSpec,
    hookimpl,
)
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
            at_once=inf,
            sections={"load": LoadConfig, "slo": SloConfig},
            # Answers end where they end: an operator's load has the lengths that the model gives it.
            defaults={"decoding": {"length": "natural"}},
            rejudge="llem_serving.judging.again:rejudge_runs",
            skip="llem_serving.skipping:HigherRates",
            least_s="llem_serving.load_time:least_s",
        )
    ]


@hookimpl
def llem_datasets() -> Sequence[DatasetSpec]:
    """Prompts with a prefix in common, of the lengths of a trace, and of conversations that are made or read."""
    return [
        DatasetSpec(
            name="shared_prefix",
            api_version=API_VERSION,
            summary="random token ids of an exact length, whose prefix (dataset.prefix_share) all prompts have in common",
            loader="llem_serving.datasets.shared_prefix:load",
        ),
        DatasetSpec(
            name="synthetic_conversations",
            api_version=API_VERSION,
            summary="conversations of random token ids, of five turns each, the last of dataset.input_tokens",
            loader="llem_serving.datasets.synthetic_conversations:load",
        ),
        DatasetSpec(
            name="trace",
            api_version=API_VERSION,
            summary="a prompt for each row of a recorded trace (dataset.path), of its lengths and with its shared prefixes",
            loader="llem_serving.datasets.trace_dataset:load",
        ),
        DatasetSpec(
            name="conversations",
            api_version=API_VERSION,
            summary="the turns of conversations in a file (dataset.path): records with messages, or of ShareGPT's form",
            loader="llem_serving.datasets.conversations_dataset:load",
        ),
    ]


@hookimpl
def llem_preflight_checks() -> Sequence[CheckSpec]:
    """Recorded arrivals can be read, and have prompts; a load ends before its experiment is given up."""
    return [
        CheckSpec(
            name="trace",
            api_version=API_VERSION,
            summary="recorded arrivals of a load (load.arrival: trace) can be read, and each has a prompt",
            check="llem_serving.preflight:check_traces",
        ),
        CheckSpec(
            name="load-time",
            api_version=API_VERSION,
            summary="a load ends before its experiment is given up (execution.timeout_s)",
            check="llem_serving.time_limit:check_time_limit",
        ),
    ]


@hookimpl
def llem_searches() -> Sequence[SearchSpec]:
    """Searches over the rate of a load: for capacity, and for the least energy."""
    return [
        SearchSpec(
            name="capacity",
            api_version=API_VERSION,
            summary="the highest steady rate that keeps the objectives (slo)",
            key="load.rate_rps",
            search="llem_serving.capacity.rate_search:CapacityGoal",
        ),
        SearchSpec(
            name="least_energy",
            api_version=API_VERSION,
            summary="the rate of the least energy per good token within the objectives (slo)",
            key="load.rate_rps",
            search="llem_serving.capacity.rate_search:LeastEnergyGoal",
        ),
    ]


@hookimpl
def llem_commands() -> Sequence[CommandSpec]:
    """The commands `slo` and `capacity`."""
    return [
        CommandSpec(
            name="slo",
            api_version=API_VERSION,
            summary="judge finished studies by other objectives",
            command="llem_serving.slo_command:slo",
        ),
        CommandSpec(
            name="capacity",
            api_version=API_VERSION,
            summary="search for the highest rate that keeps objectives",
            command="llem_serving.capacity_command:capacity",
        ),
    ]


@hookimpl
def llem_metrics() -> Sequence[MetricSpec]:
    """Goodput, attainment, and energy per good token."""
    return metrics.specs()


@hookimpl
def llem_charts() -> Sequence[ChartSpec]:
    """Energy and latency by rate, and one run over time."""
    return [
        ChartSpec(
            name=name,
            api_version=API_VERSION,
            summary=summary,
            draw=f"llem_serving.charts.{module}:draw",
            scenario="server",
        )
        for name, summary, module in (
            ("energy-rate", "energy per good token against rate, and the objectives' edge", "energy"),
            ("latency-load", "percentiles of latency against the achieved rate", "latency"),
            ("in-flight", "requests in flight and power over time, of one run", "in_flight"),
        )
    ]
