"""The specs that a plugin registers, and the interfaces that it implements: one file for each kind.

A spec is light: names, a pydantic model, capabilities and the import path of the implementation as a string.
The implementation is imported only where it runs.
"""

from __future__ import annotations

from llem.specs.accelerator import (
    Accelerator,
    AcceleratorLimits,
    AcceleratorMemory,
    AcceleratorSettings,
    AcceleratorSpec,
)
from llem.specs.backend import (
    BackendSpec,
    Capability,
    Engine,
    LoadContext,
    LoadReport,
    MemoryReading,
    ReportsCaveats,
    ReportsMetrics,
    Request,
    RequestRecord,
    TokenEvent,
)
from llem.specs.caveat import Caveat
from llem.specs.chart import ChartSpec
from llem.specs.check import CheckSpec, Finding, PreflightContext, checks_in
from llem.specs.command import CommandSpec
from llem.specs.dataset import DatasetSpec, LoadedDataset, Message, Prompt
from llem.specs.exporter import Exported, ExporterSpec, StudySource
from llem.specs.importer import ImporterSpec
from llem.specs.metric import MetricSpec
from llem.specs.registry import HookKind, Plugin, SpecRegistry
from llem.specs.runner import (
    Exit,
    Job,
    Placement,
    PlacementRule,
    Queues,
    Runner,
    RunnerContext,
    RunnerSpec,
    RunningJob,
)
from llem.specs.sampler import (
    Device,
    Method,
    QuickPowerSampler,
    Reading,
    Sampler,
    SamplerSpec,
    Scope,
    TickingSampler,
    WatchingSampler,
)
from llem.specs.scenario import Answer, LoadGenerator, Rejudge, Rejudged, ScenarioSpec
from llem.specs.search import Search, SearchContext, SearchSpec, SkipRule

__all__ = [
    "Accelerator",
    "AcceleratorLimits",
    "AcceleratorMemory",
    "AcceleratorSettings",
    "AcceleratorSpec",
    "Answer",
    "BackendSpec",
    "Capability",
    "Caveat",
    "ChartSpec",
    "CheckSpec",
    "CommandSpec",
    "DatasetSpec",
    "Device",
    "Engine",
    "Exit",
    "Exported",
    "ExporterSpec",
    "Finding",
    "HookKind",
    "ImporterSpec",
    "Job",
    "LoadContext",
    "LoadGenerator",
    "LoadReport",
    "LoadedDataset",
    "MemoryReading",
    "Message",
    "Method",
    "MetricSpec",
    "Placement",
    "PlacementRule",
    "Plugin",
    "PreflightContext",
    "Prompt",
    "Queues",
    "QuickPowerSampler",
    "Reading",
    "Rejudge",
    "Rejudged",
    "ReportsCaveats",
    "ReportsMetrics",
    "Request",
    "RequestRecord",
    "Runner",
    "RunnerContext",
    "RunnerSpec",
    "RunningJob",
    "Sampler",
    "SamplerSpec",
    "ScenarioSpec",
    "Scope",
    "Search",
    "SearchContext",
    "SearchSpec",
    "SkipRule",
    "SpecRegistry",
    "StudySource",
    "TickingSampler",
    "TokenEvent",
    "WatchingSampler",
    "checks_in",
]
