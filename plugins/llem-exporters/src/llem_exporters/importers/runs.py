"""Runs as other tools told them, and the results that they become."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from llem.plugin_api import (
    ConfigError,
    DeviceEnergy,
    DeviceFacts,
    Distribution,
    EnergyBreakdown,
    EnergyFigure,
    ExperimentResult,
    Facts,
    Failure,
    Identity,
    Latency,
    Memory,
    Method,
    ModelReport,
    ResultError,
    ResultWarning,
    Scope,
    StageEnergy,
    Stages,
    Throughput,
    Tokens,
)
from llem_exporters.importers.working_out import Told, contradictions, worked_out

MOST_GPUS = 10_000
"""GPUs of one run; a file that tells of more is damaged."""

UNKNOWN = "unknown"
"""Stands for the engine, the model or the dataset where a file does not name it."""

_OWN = ("model", "dataset", "backend")
_FAMILIES = ("ttft_s", "itl_s", "tpot_s", "e2e_s", "batch_s")
_MOMENTS = ("mean", "std", "min", "max", "p50", "p90", "p95", "p99")


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of another tool's.

    Attributes:
        values: column of results.parquet to what the file told for it, in llem's unit.
        model, engine, dataset: by the names that the file has for them.
        dtype: what the weights were loaded as.
        parameters: settings; a name with a dot is a key as it stands, one without belongs to the engine.
        scope, method: of the energy.
        gpus: the model of each GPU that did the work.
        cpu: the model of the processor.
        versions: of the engine and other software.
        started_at, ended_at: as ISO 8601.
        notes: sentences on what this file tells otherwise than llem would.
        failure: why the run has no figures.
        work: whether the outputs' length was fixed.
    """

    values: Mapping[str, Told]
    model: str = UNKNOWN
    engine: str = UNKNOWN
    dataset: str = UNKNOWN
    dtype: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    scope: Scope = "gpu"
    method: Method = "power"
    gpus: Sequence[str] = ()
    cpu: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    started_at: str | None = None
    ended_at: str | None = None
    notes: Sequence[str] = ()
    warnings: Sequence[ResultWarning] = ()
    failure: str | None = None
    work: Literal["fixed_length", "natural_length"] = "natural_length"


def results_of(tool: str, runs: Sequence[Run], where: str) -> Iterator[ExperimentResult]:
    """A result for each run, in their order; runs of one configuration are its cycles, what varies is their point.

    Args:
        tool: the name of the form, which is the scenario of its runs and their meter.
        where: what was read, for messages.

    Raises:
        ResultError: a run cannot be a result.
    """
    flat = [_flat(run) for run in runs]
    varying = [key for key in dict.fromkeys(k for f in flat for k in f) if len({repr(f.get(key)) for f in flat}) > 1]
    cycles: Counter[str] = Counter()
    for position, (run, keys) in enumerate(zip(runs, flat, strict=True), 1):
        config = _nested(keys, where)
        digest = hashlib.sha256(json.dumps([tool, config], sort_keys=True, default=str).encode()).hexdigest()
        cycles[digest] += 1
        point = {key: keys[key] for key in varying if key in keys}
        identity = Identity(config_hash=digest, study=None, cycle=cycles[digest], position=position, point=point)
        try:
            yield _result(tool, run, config, identity)
        except (ValueError, TypeError, OverflowError) as error:
            what = " ".join(str(error).split())
            raise ResultError(f"its run {position} ({run.model}) cannot be a result: {what}.", where=where) from error


def _flat(run: Run) -> dict[str, Any]:
    keys = {key if "." in key else f"{run.engine}.{key}": value for key, value in run.parameters.items()}
    return {"model.source": run.model, "dataset.name": run.dataset, "backend": run.engine, **keys}


def _nested(keys: Mapping[str, Any], where: str) -> dict[str, Any]:
    config: dict[str, Any] = {}
    for key, value in keys.items():
        *path, last = key.split(".")
        place = config
        for part in path:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise ConfigError(f"the parameter `{key}` is below another one, which has a value.", where=where)
        if last in place:
            raise ConfigError(f"the parameter `{key}` is there twice, or above another one.", where=where)
        place[last] = value
    return config


def _result(tool: str, run: Run, config: dict[str, Any], identity: Identity) -> ExperimentResult:
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    told = worked_out(run.values)
    values = {column: one.value for column, one in told.items()}
    ids = [f"{model}:{number}" for number, model in enumerate(run.gpus)]
    warnings = [
        *run.warnings,
        *(ResultWarning(code="imported_contradiction", message=text) for text in contradictions(run.values)),
    ]
    done = run.failure is None
    return ExperimentResult(
        status="done" if done else "failed",
        failure=None if done else Failure(type="Imported", message=str(run.failure)),
        identity=identity,
        config=config,
        work=run.work,
        scenario=tool,
        started_at=run.started_at or now,
        ended_at=run.ended_at or run.started_at or now,
        energy=_energy(tool, run, values, ids) if done else None,
        tokens=_tokens(values) if done else None,
        throughput=_throughput(values) if done else None,
        latency=_latency(values) if done else None,
        memory=_memory(values) if done else None,
        scenario_metrics=_part(values, "scenario_metrics.") if done else {},
        model=ModelReport(source=run.model, dtype=run.dtype),
        environment={
            **({"gpu": {"models": list(run.gpus)}} if run.gpus else {}),
            **({"cpu": {"model": run.cpu}} if run.cpu else {}),
            **({"engine": dict(run.versions)} if run.versions else {}),
            "imported": {
                "values": {column: one.source for column, one in told.items()} if done else {},
                "notes": list(run.notes),
            },
        },
        facts=Facts(
            devices=[DeviceFacts(id=i, model=m, in_use=True) for i, m in zip(ids, run.gpus, strict=True)] or None,
            cpu={"model": run.cpu},
            versions=dict(run.versions),
        ),
        warnings=warnings,
    )


def _part(values: Mapping[str, float], prefix: str) -> dict[str, float]:
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}


def _energy(tool: str, run: Run, values: Mapping[str, float], ids: Sequence[str]) -> EnergyBreakdown | None:
    figures, window_s = _part(values, "energy.headline."), values.get("energy.window_s")
    stages = {
        stage: StageEnergy(duration_s=found.get("duration_s"), energy_j=found.get("energy_j"))
        for stage in ("prefill", "decode")
        if (found := _part(values, f"energy.stages.{stage}."))
    }
    if not figures and not stages and window_s is None:
        return None
    headline = None
    if figures:
        headline = EnergyFigure(
            scope=run.scope,
            method=run.method,
            samplers=[tool],
            devices=list(ids) if run.scope == "gpu" else [],
            **{"energy_j": None, "mean_w": None, **figures},
        )
    return EnergyBreakdown(
        window_s=window_s,
        headline=headline,
        totals=[headline] if headline is not None else [],
        devices=[_device(tool, run, *one) for one in zip(ids, run.gpus, strict=True)] if headline is not None else [],
        stages=Stages(**stages) if stages else None,
    )


def _device(tool: str, run: Run, device: str, model: str) -> DeviceEnergy:
    """A GPU by name; the forms tell the energy of all together only."""
    return DeviceEnergy(
        device=device, name=model, scope="gpu", sampler=tool, method=run.method, energy_j=None, mean_w=None
    )


def _tokens(values: Mapping[str, float]) -> Tokens | None:
    found = {name: round(value) for name, value in _part(values, "tokens.").items()}
    return Tokens(**{"requests": None, "input": None, "output": None, **found}) if found else None


def _throughput(values: Mapping[str, float]) -> Throughput | None:
    found = _part(values, "throughput.")
    names = ("tokens_per_s", "total_tokens_per_s", "requests_per_s")
    return Throughput(**{name: found.get(name) for name in names}) if found else None


def _latency(values: Mapping[str, float]) -> Latency | None:
    families = {}
    for family in _FAMILIES:
        found = _part(values, f"latency.{family}.")
        if any(moment in found for moment in _MOMENTS):
            n = round(found["n"]) if "n" in found else None
            families[family] = Distribution(n=n, **{moment: found.get(moment) for moment in _MOMENTS})
    return Latency(**families) if families else None


def _memory(values: Mapping[str, float]) -> Memory | None:
    found = _part(values, "memory.")
    return Memory(**found) if found else None
