"""Reads `profile_export_aiperf.json` of AIPerf, one run a file.

AIPerf's inter-token latency is one figure for each request, (last - first) / (output tokens - 1), which is llem's TPOT; its
inter-chunk latency is of single gaps, which is llem's ITL. Energy comes from GPU telemetry, where there was some.
Source: `JsonExportData` (schema 1.0) and `EnergyEfficiencyAnalyzer` of AIPerf 0.13.0, https://github.com/ai-dynamo/aiperf.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from llem.plugin_api import ExperimentResult, Method, ResultError
from llem_exporters.importers.columns import UNITS
from llem_exporters.importers.reading import at, files_of, number, objects_of, text
from llem_exporters.importers.runs import UNKNOWN, Run, results_of
from llem_exporters.importers.units import conversion
from llem_exporters.importers.working_out import CONVERTED, Told

TOOL = "aiperf"
_FILE = "profile_export_aiperf.json"
_WHAT = f"{_FILE} of AIPerf"

_SINGLE = {
    "energy.window_s": ("benchmark_duration",),
    "tokens.requests": ("request_count",),
    "tokens.input": ("total_isl",),
    "tokens.output": ("total_osl", "total_output_tokens"),
    "throughput.tokens_per_s": ("output_token_throughput",),
    "throughput.total_tokens_per_s": ("total_token_throughput",),
    "throughput.requests_per_s": ("request_throughput",),
    "scenario_metrics.goodput_rps": ("goodput",),
}
_ENERGY = {
    "energy.headline.energy_j": ("total_gpu_energy",),
    "energy.headline.mean_w": ("average_gpu_power", "total_gpu_power"),
    "energy.headline.j_per_output_token": ("energy_per_output_token", "output_tokens_per_joule"),
    "energy.headline.j_per_token": ("energy_per_total_token",),
    "energy.headline.j_per_request": ("energy_per_request",),
}
_MAKERS = ("", "nvidia_", "amd_")
"""Before a tag of energy, where the version tells makers apart."""

_FAMILIES = {
    "ttft_s": "time_to_first_token",
    "tpot_s": "inter_token_latency",
    "itl_s": "inter_chunk_latency",
    "e2e_s": "request_latency",
}
_MOMENTS = {
    "mean": "avg",
    "std": "std",
    "min": "min",
    "max": "max",
    "p50": "p50",
    "p90": "p90",
    "p95": "p95",
    "p99": "p99",
}
_AS_TEXT = {"tokens/joule": "tokens/J", "joules": "J", "watts": "W", "joules/request": "J/request"}
_COUNTS = ("requests", "tokens", "count")


def read_aiperf(path: Path) -> Iterator[ExperimentResult]:
    """A result for the file, or for each `profile_export_aiperf.json` below a folder.

    Raises:
        ResultError: a file is none of AIPerf's.
    """
    runs = [_run(data, str(file)) for file in files_of(path, _FILE, _WHAT) for data in objects_of(file, _WHAT)]
    return results_of(TOOL, runs, str(path))


class _Metrics:
    """The metrics of a file, each with the unit that it names."""

    def __init__(self, data: Mapping[str, Any], where: str) -> None:
        self._data, self._where = data, where
        self.told: dict[str, Told] = {}
        self.unknown: list[str] = []

    def take(self, column: str, tag: str, moment: str = "avg") -> bool:
        """Take a metric for a column; False where the file has none, or in a unit that is not known."""
        value = number(at(self._data, tag, moment), f"{tag}.{moment}", self._where)
        if value is None:
            return False
        unit = str(at(self._data, tag, "unit") or "")
        unit = _AS_TEXT.get(unit.lower(), unit)
        wanted = UNITS.get(column, "request/s")
        convert = conversion("" if unit in _COUNTS and wanted == "" else unit, wanted)
        if convert is None:
            self.unknown.append(f"{tag} ({unit[:40]})")
            return False
        converted = convert(value)
        if converted is None:
            return False
        same = conversion(unit, wanted) is None or converted == value
        self.told[column] = Told(converted, tag if same else f"{tag}.{moment}{CONVERTED}{unit}")
        return True


def _run(data: Mapping[str, Any], where: str) -> Run:
    if not any(
        isinstance(at(data, tag), Mapping) for tag in ("request_count", "request_latency", "request_throughput")
    ):
        raise ResultError(
            f"it is no {_WHAT}: it has no request_count, request_latency or request_throughput.", where=where
        )
    metrics = _Metrics(data, where)
    for column, tags in _SINGLE.items():
        any(metrics.take(column, tag) for tag in tags)
    for column, tags in _ENERGY.items():
        any(metrics.take(column, maker + tag) for tag in tags for maker in _MAKERS)
    for family, tag in _FAMILIES.items():
        for moment, theirs in _MOMENTS.items():
            metrics.take(f"latency.{family}.{moment}", tag, theirs)
    config = data.get("input_config")
    phase = _profiling(config)
    rate = at(config, "loadgen", "request_rate") or phase.get("rate") or phase.get("request_rate")
    load = {
        "load.rate_rps": rate,
        "load.concurrency": at(config, "loadgen", "concurrency") or phase.get("concurrency"),
    }
    failed = number(at(data, "error_request_count", "avg"), "error_request_count.avg", where)
    gpus, method = _gpus(data)
    return Run(
        values=metrics.told,
        model=_model(config) or UNKNOWN,
        parameters={key: value for key, value in load.items() if isinstance(value, int | float)},
        gpus=gpus,
        method=method,
        started_at=text(data.get("start_time")),
        ended_at=text(data.get("end_time")),
        notes=[
            "its inter-token latency is llem's TPOT",
            *([f"written by AIPerf {version}"] if (version := text(data.get("aiperf_version"))) else []),
            *([f"{failed:g} of its requests failed"] if failed else []),
            *(["the run was cancelled"] if data.get("was_cancelled") is True else []),
            *([f"left out, for their units: {', '.join(metrics.unknown)}"] if metrics.unknown else []),
        ],
    )


def _profiling(config: Any) -> Mapping[str, Any]:
    """The phase that was measured: the one of that name, else the last that is no warm-up."""
    phases = at(config, "phases")
    if isinstance(phases, Mapping):
        phases = [{"name": name, **phase} for name, phase in phases.items() if isinstance(phase, Mapping)]
    found = [phase for phase in phases if isinstance(phase, Mapping)] if isinstance(phases, list) else []
    named = [phase for phase in found if phase.get("name") == "profiling"]
    return (named or [phase for phase in found if phase.get("name") != "warmup"] or [{}])[-1]


def _model(config: Any) -> str | None:
    names = at(config, "endpoint", "model_names") or at(config, "models", "items") or at(config, "models")
    listed = names if isinstance(names, list) else [names]
    told = [text(one.get("name") if isinstance(one, Mapping) else one) for one in listed]
    return ", ".join(one for one in told if one) or None


def _gpus(data: Mapping[str, Any]) -> tuple[list[str], Method]:
    """The GPUs of the telemetry, and how their energy was told: by a counter where one was read, else by power."""
    names: dict[str, str] = {}
    counted = False
    endpoints = at(data, "telemetry_data", "endpoints")
    for endpoint in endpoints.values() if isinstance(endpoints, Mapping) else ():
        gpus = at(endpoint, "gpus")
        for key, gpu in gpus.items() if isinstance(gpus, Mapping) else ():
            if name := text(at(gpu, "gpu_name")):
                names[str(at(gpu, "gpu_uuid") or key)] = name
            counted = counted or at(gpu, "metrics", "energy_consumption") is not None
    return list(names.values()), "counter" if counted else "power"
