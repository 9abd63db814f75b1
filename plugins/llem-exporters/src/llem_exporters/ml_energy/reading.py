"""Reads runs in the form of the ML.ENERGY benchmark (`runs/llm.parquet`), as results of llem's.

Null is what their form does not tell: prompts' tokens, memory, the time to the first token, the shortest and longest gap.
Source: the fields of `LLMRun` in mlenergy-data 0.4.0, https://github.com/ml-energy/data.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from llem.plugin_api import (
    DeviceEnergy,
    DeviceFacts,
    Distribution,
    EnergyBreakdown,
    EnergyFigure,
    ExperimentResult,
    Facts,
    Identity,
    Latency,
    ModelReport,
    ResultError,
    ResultWarning,
    Throughput,
    Tokens,
    open_parquet,
)
from llem_exporters.importers.working_out import CONVERTED

RUNS = Path("runs") / "llm.parquet"
BACKEND = "unknown"
"""Stands for the engine where the file does not say it; llem's own exports do."""

_NEEDED = (
    "task",
    "model_id",
    "gpu_model",
    "num_gpus",
    "max_num_seqs",
    "weight_precision",
    "steady_state_energy_joules",
    "steady_state_duration_seconds",
    "energy_per_token_joules",
    "energy_per_request_joules",
    "output_throughput_tokens_per_sec",
    "request_throughput_req_per_sec",
    "avg_power_watts",
)
_SOURCES = {
    "energy.window_s": "steady_state_duration_seconds",
    "energy.headline.energy_j": "steady_state_energy_joules",
    "energy.headline.mean_w": "avg_power_watts",
    "energy.headline.j_per_output_token": "energy_per_token_joules",
    "energy.headline.j_per_request": "energy_per_request_joules",
    "throughput.tokens_per_s": "output_throughput_tokens_per_sec",
    "throughput.requests_per_s": "request_throughput_req_per_sec",
    "tokens.output": "total_output_tokens",
    "tokens.requests": "completed_requests",
    "latency.itl_s.mean": f"mean_itl_ms{CONVERTED}ms",
    "latency.itl_s.p50": f"median_itl_ms{CONVERTED}ms",
    **{f"latency.itl_s.p{p}": f"p{p}_itl_ms{CONVERTED}ms" for p in (90, 95, 99)},
}
"""Column to the form's own name for it."""

_OPTIONS = ("max_num_seqs", "num_gpus", "tensor_parallel", "expert_parallel", "data_parallel")


def read_ml_energy(path: Path) -> Iterator[ExperimentResult]:
    """A result for each run, in the file's order; runs of one configuration are its cycles.

    Args:
        path: the folder that holds `runs/llm.parquet`, or that file.

    Raises:
        ResultError: it is no file of this form.
    """
    rows = _rows(path / RUNS if path.is_dir() else path)
    configs = [_config(row) for row in rows]
    flat = [_flat(config) for config in configs]
    varying = [
        key for key in dict.fromkeys(k for one in flat for k in one) if len({repr(f.get(key)) for f in flat}) > 1
    ]
    cycles: Counter[str] = Counter()
    for position, (row, config, values) in enumerate(zip(rows, configs, flat, strict=True), 1):
        digest = hashlib.sha256(json.dumps(["ml-energy", config], sort_keys=True).encode()).hexdigest()
        cycles[digest] += 1
        point = {key: values[key] for key in varying if key in values}
        identity = Identity(config_hash=digest, study=None, cycle=cycles[digest], position=position, point=point)
        try:
            yield _result(row, config, identity)
        except (ValueError, TypeError) as error:
            what = " ".join(str(error).split())
            raise ResultError(
                f"its run {position} ({row['model_id']}) is not of ML.ENERGY's form: {what}.", where=str(path)
            ) from error


def _rows(file: Path) -> list[dict[str, Any]]:
    import pyarrow as pa

    try:
        with open_parquet(file) as parquet:
            table = parquet.read()
    except (OSError, pa.ArrowException) as error:
        raise ResultError(
            f"it cannot be read as Parquet: {' '.join(str(error).split())}.",
            where=str(file),
            remedy=f"Give the folder that holds {RUNS}, or that file.",
        ) from error
    if missing := [name for name in _NEEDED if name not in table.column_names]:
        raise ResultError(
            f"it is not of ML.ENERGY's form: it has no column {', '.join(missing)}.",
            where=str(file),
            remedy="Make it with mlenergy-data, or by llem export --format ml-energy.",
        )
    return table.to_pylist()


def _config(row: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a run's configuration that the form tells."""
    backend = str(row.get("llem_backend") or BACKEND)
    return {
        "model": {"source": row.get("llem_model") or row["model_id"]},
        "dataset": {"name": row["task"]},
        "backend": backend,
        backend: {
            "precision": row["weight_precision"],
            **{key: row[key] for key in _OPTIONS if row.get(key) is not None},
        },
    }


def _flat(config: Mapping[str, Any]) -> dict[str, Any]:
    backend = config["backend"]
    return {
        "model.source": config["model"]["source"],
        "dataset.name": config["dataset"]["name"],
        "backend": backend,
        **{f"{backend}.{key}": value for key, value in config[backend].items()},
    }


def _result(row: Mapping[str, Any], config: dict[str, Any], identity: Identity) -> ExperimentResult:
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    gpus = [f"{row['gpu_model']}:{number}" for number in range(row["num_gpus"])]
    method = row.get("llem_energy_method") or "counter"  # Zeus reads the counter
    seconds, joules = row["steady_state_duration_seconds"], row["steady_state_energy_joules"]
    headline = EnergyFigure(
        scope="gpu",
        method=method,
        samplers=["ml-energy"],
        devices=gpus,
        energy_j=joules,
        mean_w=row["avg_power_watts"],
        j_per_output_token=row["energy_per_token_joules"],
        j_per_request=row["energy_per_request_joules"],
        unreliable=bool(row.get("llem_unreliable")),
    )
    return ExperimentResult(
        status="done",
        identity=identity,
        config=config,
        work="natural_length",
        scenario="ml-energy",
        started_at=now,
        ended_at=now,
        energy=EnergyBreakdown(
            window_s=seconds, headline=headline, totals=[headline], devices=_devices(row, gpus, method)
        ),
        tokens=_tokens(row),
        throughput=Throughput(
            tokens_per_s=row["output_throughput_tokens_per_sec"],
            total_tokens_per_s=None,
            requests_per_s=row["request_throughput_req_per_sec"],
        ),
        latency=Latency(itl_s=_gaps(row)),
        model=_model(row, config["model"]["source"]),
        environment={
            "gpu": {"models": [row["gpu_model"]] * len(gpus)},
            "imported": {
                "values": {column: name for column, name in _SOURCES.items() if row.get(name.split(",")[0]) is not None}
            },
        },
        facts=Facts(devices=[DeviceFacts(id=gpu, model=row["gpu_model"], in_use=True) for gpu in gpus]),
        warnings=_warnings(row),
    )


def _devices(row: Mapping[str, Any], gpus: Sequence[str], method: Any) -> list[DeviceEnergy]:
    """The GPUs by name; the form tells their energy together only."""
    return [
        DeviceEnergy(
            device=gpu,
            name=row["gpu_model"],
            scope="gpu",
            sampler="ml-energy",
            method=method,
            energy_j=None,
            mean_w=None,
        )
        for gpu in gpus
    ]


def _tokens(row: Mapping[str, Any]) -> Tokens | None:
    output, requests = row.get("total_output_tokens"), row.get("completed_requests")
    if output is None and requests is None:
        return None
    return Tokens(
        requests=None if requests is None else round(requests),
        input=None,
        output=None if output is None else round(output),
    )


def _gaps(row: Mapping[str, Any]) -> Distribution | None:
    mean, middle = row.get("mean_itl_ms"), row.get("median_itl_ms")
    tokens, requests = row.get("total_output_tokens"), row.get("completed_requests")
    if mean is None or middle is None or tokens is None or requests is None:
        return None

    def seconds(name: str) -> float | None:
        return None if row.get(name) is None else row[name] / 1000

    return Distribution(
        n=round(tokens - requests),
        mean=mean / 1000,
        std=None,
        min=None,
        max=None,
        p50=middle / 1000,
        p90=seconds("p90_itl_ms"),
        p95=seconds("p95_itl_ms"),
        p99=seconds("p99_itl_ms"),
    )


def _model(row: Mapping[str, Any], source: str) -> ModelReport:
    def count(name: str) -> int | None:
        return None if row.get(name) is None else round(row[name] * 1e9)

    return ModelReport(
        source=source,
        dtype=row["weight_precision"],
        parameters=count("total_params_billions"),
        active_parameters=count("activated_params_billions"),
    )


def _warnings(row: Mapping[str, Any]) -> list[ResultWarning]:
    """Doubts that the file itself tells: of llem's own runs their warnings, of others that they did not hold still."""
    found = [
        ResultWarning(code=code, message="told by the file, without its message")
        for code in row.get("llem_warnings") or ()
    ]
    if row.get("is_stable") is False:
        reason = row.get("unstable_reason") or "no reason is given"
        found.append(
            ResultWarning(code="imported_unstable", message=f"ML.ENERGY's own rule calls the run unstable: {reason}.")
        )
    return found
