"""The table of everything that can be registered. `registry[KIND]` gives the specs of one of its rows."""

from __future__ import annotations

from typing import Any

from llem.specs.accelerator import AcceleratorSpec
from llem.specs.backend import BackendSpec
from llem.specs.chart import ChartSpec
from llem.specs.check import CheckSpec
from llem.specs.command import CommandSpec
from llem.specs.dataset import DatasetSpec
from llem.specs.exporter import ExporterSpec
from llem.specs.importer import ImporterSpec
from llem.specs.metric import MetricSpec
from llem.specs.registry import HookKind
from llem.specs.runner import RunnerSpec
from llem.specs.sampler import SamplerSpec
from llem.specs.scenario import ScenarioSpec
from llem.specs.search import SearchSpec
from llem.specs.starter import StarterSpec
from llem.specs.stopping import StoppingSpec
from llem.specs.view import ViewSpec

BACKENDS = HookKind("backend", "llem_backends", BackendSpec, packaged=True)
RUNNERS = HookKind("runner", "llem_runners", RunnerSpec, packaged=True)
SAMPLERS = HookKind("energy sampler", "llem_energy_samplers", SamplerSpec)
CHECKS = HookKind("preflight check", "llem_preflight_checks", CheckSpec)
DATASETS = HookKind("dataset", "llem_datasets", DatasetSpec)
SCENARIOS = HookKind("scenario", "llem_scenarios", ScenarioSpec)
SEARCHES = HookKind("search", "llem_searches", SearchSpec)
COMMANDS = HookKind("command", "llem_commands", CommandSpec)
ACCELERATORS = HookKind("accelerator", "llem_accelerators", AcceleratorSpec)
METRICS = HookKind("metric", "llem_metrics", MetricSpec)
CHARTS = HookKind("chart", "llem_charts", ChartSpec)
EXPORTERS = HookKind("exporter", "llem_exporters", ExporterSpec)
IMPORTERS = HookKind("importer", "llem_importers", ImporterSpec)
STOPPING_RULES = HookKind("stopping rule", "llem_stopping_rules", StoppingSpec)
STARTERS = HookKind("starter", "llem_starters", StarterSpec)
VIEWS = HookKind("view", "llem_views", ViewSpec)

KINDS: tuple[HookKind[Any], ...] = (
    BACKENDS,
    RUNNERS,
    SAMPLERS,
    CHECKS,
    DATASETS,
    SCENARIOS,
    SEARCHES,
    COMMANDS,
    ACCELERATORS,
    METRICS,
    CHARTS,
    EXPORTERS,
    IMPORTERS,
    STOPPING_RULES,
    STARTERS,
    VIEWS,
)
"""All rows, in the order in which people read them."""
