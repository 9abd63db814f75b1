"""All that plugins import of llem's core.

What stands here is public and kept: `API_VERSION` rises where it breaks. docs/reference/plugin-api.md says what each name is. Names are
imported on first use, so that registering stays light; `plugin_api.pyi` tells type checkers the same names.

    from llem.plugin_api import API_VERSION, SamplerSpec, hookimpl
"""

from __future__ import annotations

import importlib
from typing import Any

TOPICS: dict[str, dict[str, str]] = {
    "Registering": {
        "llem.hookspecs": "API_VERSION hookimpl PROJECT",
        "llem.plugins": "default_registry load_object missing_requirements Registry",
        "llem.specs.kinds": (
            "ACCELERATORS BACKENDS CHARTS CHECKS COMMANDS DATASETS EXPORTERS IMPORTERS METRICS RUNNERS SAMPLERS SCENARIOS SEARCHES"
        ),
        "llem.specs.registry": "HookKind Plugin SpecRegistry",
    },
    "Errors": {
        "llem.errors": (
            "ConfigError DatasetError DOCUMENTATION LlemError ModelError PluginError PreflightError "
            "ResultError SamplerClosed SamplerUnavailable"
        ),
        "llem.spelling": "closest",
    },
    "Configuration": {
        "llem.config.compose": "Composer",
        "llem.config.experiment": "DatasetConfig DecodingConfig ExperimentConfig ModelConfig SECTIONS",
        "llem.config.identity": "config_hash",
        "llem.config.keys": "STUDY_KEYS Vocabulary",
        "llem.config.merging": "nested",
        "llem.config.paths": "paths_in",
        "llem.config.section": "Section",
        "llem.config.study": "SearchConfig",
    },
    "Backends": {
        "llem.models.flops": "architecture_of parameter_count",
        "llem.models.hub": "hub_cache hub_token is_cached",
        "llem.models.shapes": "load_shape",
        "llem.models.sources": "locate_model ModelLocation",
        "llem.models.tokens": "ByteTokenizer TextTokenizer Tokenizer",
        "llem.specs.backend": (
            "BackendSpec Capability Engine LoadContext LoadReport MemoryReading ReportsCaveats "
            "ReportsMetrics Request RequestRecord TokenEvent"
        ),
        "llem.specs.caveat": "Caveat",
    },
    "Datasets and scenarios": {
        "llem.specs.dataset": "DatasetSpec LoadedDataset Message Piece Prompt",
        "llem.specs.scenario": (
            "Answer DriveContext DrivesWindow LoadGenerator MeasuredWindow Rejudge Rejudged ScenarioFigures ScenarioSpec Served "
            "Unanswered"
        ),
    },
    "Searches": {
        "llem.specs.search": "Search SearchContext SearchSpec SkipRule",
    },
    "Runners": {
        "llem.results.job_directory": (
            "EVENTS EXPERIMENT JOB_SCHEMA JobDocument LOG READINGS REQUESTS RESULT TIMESERIES "
            "write_atomically write_json"
        ),
        "llem.runners.failure": "log_tail",
        "llem.runners.local": "LocalJob",
        "llem.specs.runner": "Exit Job Location Placement PlacementRule Queues Runner RunnerContext RunnerSpec RunningJob",
    },
    "Energy samplers and accelerators": {
        "llem.accelerators": "residual",
        "llem.accelerators.asking": "accelerators_here",
        "llem.samplers.cards": "count_cards power_cards read_cards",
        "llem.samplers.nvml": "MIG_NOTE NvmlSampler",
        "llem.samplers.nvml_library": "Nvml",
        "llem.samplers.visible": "Gpu Visible visible_gpus",
        "llem.specs.accelerator": "Accelerator AcceleratorLimits AcceleratorMemory AcceleratorSettings AcceleratorSpec",
        "llem.specs.sampler": (
            "Device Method MODULE QuickPowerSampler Reading Sampler SamplerSpec Scope TickingSampler WatchingSampler"
        ),
    },
    "Preflight checks": {
        "llem.specs.check": "checks_in CheckSpec Finding PreflightContext",
    },
    "Commands": {
        "llem.cli.completing": "study_folders",
        "llem.cli.registered": "Registered",
        "llem.cli.table": "table",
        "llem.cli.writing": "write_text",
        "llem.results": "html",
        "llem.results.text": "NOTHING one_line plain span value",
        "llem.specs.command": "CommandSpec",
    },
    "Metrics, charts, exports and imports": {
        "llem.measure.statistics": "stands",
        "llem.metrics": "student",
        "llem.metrics.computed": "ComputedColumn",
        "llem.metrics.environments": (
            "by_environment COLUMNS differences differing Environment environment_of for_comparison "
            "of_machine RowEnvironments study_kinds unlike"
        ),
        "llem.metrics.intervals": (
            "BOOTSTRAP_FROM BOOTSTRAP_TO draws expanded_tail FEWEST Interval LEVEL mean RESAMPLES SEED"
        ),
        "llem.metrics.summary": "Configuration MetricSummary parquet_rows",
        "llem.registered_metrics": "computed_columns",
        "llem.specs.chart": "ChartSpec",
        "llem.specs.exporter": "Exported ExporterSpec Output StudySource",
        "llem.specs.importer": "ImporterSpec",
        "llem.specs.metric": "MetricSpec",
    },
    "Results": {
        "llem.files": "inside",
        "llem.results.aggregate": "aggregate",
        "llem.results.arrow_table": "rows_table",
        "llem.results.display": "ESTIMATE",
        "llem.results.facts": "DeviceFacts Facts",
        "llem.results.models": (
            "DeviceEnergy Distribution EnergyBreakdown EnergyFigure ExperimentResult Identity Latency ModelReport "
            "ResultWarning Throughput"
        ),
        "llem.results.parts": "read_parquet",
        "llem.results.places": "nothing_here several_here",
        "llem.results.rows": "result_row",
        "llem.results.scrub": "HIDDEN tells_a_secret",
        "llem.results.stamps": "MODIFIED SIZE",
        "llem.results.store": "EXPERIMENTS is_study MANIFEST read_object read_result",
        "llem.results.study": "StudyResult",
        "llem.results.table_file": "table_of",
        "llem.results.warning_codes": "kind_of WARNINGS",
        "llem.results.weighing": (
            "caveat_sentences codes_of holds_impossible inform_sentence mark_whole tellings too_few VOIDED voiding_code weighed"
        ),
        "llem.study.lock": "is_held",
        "llem.study.manifest.head": "Head head_beside_results",
    },
}
"""The names by topic and by the module where each lives."""

_HOME = {name: module for modules in TOPICS.values() for module, names in modules.items() for name in names.split()}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(_HOME[name])
    value = getattr(module, name) if hasattr(module, name) else importlib.import_module(f"{_HOME[name]}.{name}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
