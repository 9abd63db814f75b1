"""Reads `benchmark_report.json` of optimum-benchmark with the `benchmark_config.json` beside it, or its `benchmark.json` of both.

Its inference scenario calls the model over and over with one batch, once in a loop for time and once for energy. Figures here are of
one such call, the mean over each loop. GPU energy is that of CodeCarbon, which reads the cards' counters; on a CPU it may be an
estimate from the model's rated power, and is taken as one.
Source: `BenchmarkReport`, `BenchmarkConfig` and the trackers of optimum-benchmark 0.7.0.dev0,
https://github.com/huggingface/optimum-benchmark.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from llem.plugin_api import ExperimentResult, Method, ResultError, Scope
from llem_exporters.importers.reading import MOST_FILES, Teller, at, json_of, text
from llem_exporters.importers.runs import UNKNOWN, Run, results_of
from llem_exporters.importers.working_out import WORKED_OUT, Told

TOOL = "optimum-benchmark"
REPORT, CONFIG, BOTH = "benchmark_report.json", "benchmark_config.json", "benchmark.json"
WHAT = f"{REPORT} of optimum-benchmark"
J_PER_KWH = 3.6e6
_MIB_PER_MB = 1e6 / 2**20

_SETTINGS = (
    "device",
    "torch_dtype",
    "dtype",
    "attn_implementation",
    "cache_implementation",
    "quantization_scheme",
    "torch_compile",
    "device_map",
    "tp_plan",
    "autocast_enabled",
    "autocast_dtype",
    "inter_op_num_threads",
    "intra_op_num_threads",
)
"""Settings of its backends that are parameters here. Dictionaries are left out: they may hold a token."""


def read_optimum_benchmark(path: Path) -> Iterator[ExperimentResult]:
    """A result for a report, or for each one below a folder.

    Raises:
        ResultError: a file is none of this tool's.
    """
    return results_of(TOOL, [_run(*one) for one in reports_of(path)], str(path))


def reports_of(path: Path) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any], str]]:
    """Each report with its configuration (empty where there is none) and its place."""
    files = sorted([*path.rglob(REPORT), *path.rglob(BOTH)])[: MOST_FILES + 1] if path.is_dir() else [path]
    if not files or len(files) > MOST_FILES:
        raise ResultError(f"below it are {len(files):,} files called {REPORT} or {BOTH}.", where=str(path))
    for file in files:
        if file.name == BOTH and (file.parent / REPORT).is_file() and len(files) > 1:
            continue  # the same run, twice
        data = json_of(file, WHAT)
        report, config = data, None
        if isinstance(at(data, "report"), Mapping):
            report, config = data["report"], data.get("config")
        elif (file.parent / CONFIG).exists():
            config = json_of(file.parent / CONFIG, f"{CONFIG} of optimum-benchmark")
        if not isinstance(report, Mapping):
            raise ResultError(f"it is no {WHAT}: it is no JSON object.", where=str(file))
        yield report, config if isinstance(config, Mapping) else {}, str(file)


def _run(report: Mapping[str, Any], config: Mapping[str, Any], where: str) -> Run:
    if not isinstance(at(report, "generate"), Mapping):
        other = " AIEnergyScore's reports are read by --from aienergyscore." if "decode" in report else ""
        raise ResultError(f"it is no {WHAT} of generated text: it has no `generate`.{other}", where=where)
    teller = Teller(report, where)
    unit = text(at(report, "generate", "latency", "unit"))
    if unit not in (None, "s"):
        raise ResultError(f"its latency is in `{unit}`, and optimum-benchmark's is in s.", where=where)
    teller.tell("energy.window_s", "generate", "latency", "mean", above_zero=True)
    for family, target in (
        ("batch_s", "generate"),
        ("e2e_s", "generate"),
        ("ttft_s", "prefill"),
        ("itl_s", "per_token"),
    ):
        place = (target, "latency")
        names = {"n": (*place, "count"), "mean": (*place, "mean"), "std": (*place, "stdev")}
        teller.distribution(family, names | {f"p{p}": (*place, f"p{p}") for p in (50, 90, 95, 99)})
    for column, theirs in (
        ("peak_memory_mb", "max_allocated"),
        ("device_memory_mb", "max_global_vram"),
        ("host_peak_rss_mb", "max_ram"),
    ):
        teller.tell(f"memory.{column}", "generate", "memory", theirs, factor=_MIB_PER_MB, unit="MB", above_zero=True)
    scope, method = told_energy(teller, "energy.headline.energy_j", "generate", config)
    told_energy(teller, "energy.stages.prefill.energy_j", "prefill", config)
    told_energy(teller, "energy.stages.decode.energy_j", "decode", config)
    for stage in ("prefill", "decode"):
        teller.tell(f"energy.stages.{stage}.duration_s", stage, "latency", "mean", above_zero=True)
    batch, length, new = (_shape(config, name) for name in ("batch_size", "sequence_length", "max_new_tokens"))
    _count(teller.told, batch, length, new, config)
    return Run(
        values=teller.told,
        parameters={**settings_of(config), **_given(batch_size=batch, sequence_length=length, max_new_tokens=new)},
        scope=scope,
        method=method,
        work="fixed_length" if new is not None else "natural_length",
        notes=[
            "figures are of one call of the model with one batch, the mean over a loop; time and energy are of loops of their own",
            "energy is CodeCarbon's",
        ],
        **about(config),
    )


def told_energy(teller: Teller, column: str, target: str, config: Mapping[str, Any]) -> tuple[Scope, Method]:
    """Take the energy of a target: that of the GPUs, or of the CPU where the model ran there."""
    on_cpu = text(at(config, "backend", "device")) == "cpu"
    part = "cpu" if on_cpu else "gpu"
    unit = text(at(teller.data, target, "energy", "unit")) or "kWh"
    factors = {"kWh": J_PER_KWH, "Wh": 3600.0, "J": 1.0}
    if unit not in factors:
        raise ResultError(f"`{target}.energy` is in `{unit}`, which is no unit of energy here.", where=teller.where)
    teller.tell(column, target, "energy", part, factor=factors[unit], unit=unit if unit != "J" else "", above_zero=True)
    return ("cpu", "estimate") if on_cpu else ("gpu", "counter")


def _shape(config: Mapping[str, Any], name: str) -> int | None:
    places = (at(config, "scenario", "input_shapes", name), at(config, "scenario", "generate_kwargs", name))
    return next((one for one in places if isinstance(one, int) and not isinstance(one, bool) and one > 0), None)


def _count(
    told: dict[str, Told], batch: int | None, length: int | None, new: int | None, config: Mapping[str, Any]
) -> None:
    """Requests and tokens of one call, by the configuration."""
    kwargs = at(config, "scenario", "generate_kwargs") or {}
    one_answer = all(at(kwargs, name) in (None, 1) for name in ("num_beams", "num_return_sequences"))
    if batch is None:
        return
    told["tokens.requests"] = Told(batch, WORKED_OUT + "the configuration's batch_size")
    if length is not None:
        told["tokens.input"] = Told(batch * length, WORKED_OUT + "batch_size x sequence_length")
    if new is not None and one_answer:
        told["tokens.output"] = Told(batch * new, WORKED_OUT + "batch_size x max_new_tokens")


def settings_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The backend's settings that are parameters."""
    found = {name: at(config, "backend", name) for name in _SETTINGS}
    return {name: value for name, value in found.items() if isinstance(value, str | int | float)}


def about(config: Mapping[str, Any]) -> dict[str, Any]:
    """Model, engine, software and hardware, as far as the configuration tells them."""
    environment = at(config, "environment")
    names = at(environment, "gpu")
    names = [one for one in names if isinstance(one, str)] if isinstance(names, list) else []
    ids = str(at(config, "backend", "device_ids") or "").replace(" ", "").split(",")
    used = [
        names[int(one)] for one in ids if one.isascii() and one.isdigit() and len(one) < 5 and int(one) < len(names)
    ]
    on_gpu = text(at(config, "backend", "device")) in ("cuda", "rocm")
    engine = text(at(config, "backend", "name")) or UNKNOWN
    versions = {engine: at(config, "backend", "version")}
    for library in ("transformers", "optimum_benchmark"):
        versions[library] = at(environment, f"{library}_version")
    return {
        "model": text(at(config, "backend", "model")) or UNKNOWN,
        "engine": engine,
        "dtype": text(at(config, "backend", "torch_dtype")) or text(at(config, "backend", "dtype")),
        "gpus": (used or names) if on_gpu else (),
        "cpu": (text(at(environment, "cpu")) or "").strip() or None,
        "versions": {
            name: version for name, version in versions.items() if isinstance(version, str) and name != UNKNOWN
        },
    }


def _given(**values: int | None) -> dict[str, int]:
    return {name: value for name, value in values.items() if value is not None}
