"""The fields of a run in the ML.ENERGY benchmark's dataset, one record for each run.

Energy there is that of GPUs, measured: for anything else the energy fields are null, and `unstable_reason` says why.
Source: the fields of `LLMRun` in https://github.com/ml-energy/data.
"""

from __future__ import annotations

import json
from typing import Any

from llem.export.source import Source
from llem.results.models import ExperimentResult
from llem.results.warning_codes import kind_of
from llem.results.weighing import voiding_code

_SEQUENCES = ("max_num_seqs", "batch_size")
_PARALLEL = {
    "tensor_parallel": ("tensor_parallel_size", "tensor_parallel"),
    "data_parallel": ("data_parallel_size", "data_parallel"),
}


def ml_energy_json(source: Source) -> str:
    """All runs that are done, as a JSON list."""
    return (
        json.dumps([record(r, path) for path, r in source.results()], indent=1, ensure_ascii=False, allow_nan=False)
        + "\n"
    )


def record(result: ExperimentResult, path: str) -> dict[str, Any]:
    """One run; what is not known is null."""
    model, tokens, speed = result.model, result.tokens, result.throughput
    headline = result.energy.headline if result.energy else None
    measured = headline if headline is not None and headline.scope == "gpu" and headline.method != "estimate" else None
    itl = result.latency.itl_s if result.latency else None
    gpus = [d.name for d in result.energy.devices if d.scope == "gpu"] if result.energy else []
    options = result.config.get(result.config["backend"]) or {}
    reasons = [w.code for w in result.warnings if kind_of(w.code).weight != "inform"]
    if voiding_code(reasons, "energy.headline.energy_j") is not None:
        measured = None
    if headline is None:
        reasons.insert(0, "no energy was measured")
    elif headline.scope != "gpu" or headline.method == "estimate":
        reasons.insert(0, f"energy is no GPU measurement ({headline.scope} {headline.method})")
    total, active = (model.parameters, model.active_parameters) if model else (None, None)
    return {
        "domain": "llm",
        "task": result.dataset.name if result.dataset else None,
        "model_id": result.config["model"]["source"],
        "nickname": result.config["model"]["source"].rpartition("/")[2],
        "architecture": None if total is None or active is None else "MoE" if active < total else "Dense",
        "total_params_billions": None if total is None else total / 1e9,
        "activated_params_billions": None if active is None else active / 1e9,
        "weight_precision": model.dtype if model else None,
        "gpu_model": " + ".join(sorted(set(gpus))) or None,
        "num_gpus": len(gpus) or None,
        "max_num_seqs": _first(options, _SEQUENCES),
        "seed": (result.config.get("decoding") or {}).get("seed"),
        "num_request_repeats": result.passes,
        **{name: _first(options, keys) for name, keys in _PARALLEL.items()},
        "expert_parallel": None,
        "steady_state_energy_joules": measured.energy_j if measured else None,
        "steady_state_duration_seconds": result.energy.window_s if result.energy else None,
        "energy_per_token_joules": measured.j_per_output_token if measured else None,
        "energy_per_request_joules": measured.j_per_request if measured else None,
        "output_throughput_tokens_per_sec": speed.tokens_per_s if speed else None,
        "request_throughput_req_per_sec": speed.requests_per_s if speed else None,
        "avg_power_watts": measured.mean_w if measured else None,
        "total_output_tokens": tokens.output if tokens else None,
        "completed_requests": tokens.requests if tokens else None,
        "avg_output_len": tokens.output / tokens.requests if tokens and tokens.requests else None,
        "mean_itl_ms": _ms(itl.mean if itl else None),
        "median_itl_ms": _ms(itl.p50 if itl else None),
        **{f"p{p}_itl_ms": _ms(getattr(itl, f"p{p}") if itl else None) for p in (50, 90, 95, 99)},
        "avg_batch_size": None,
        "is_stable": measured is not None and not measured.unreliable and not reasons,
        "unstable_reason": ", ".join(dict.fromkeys(reasons)),
        "results_path": path,
        "prometheus_path": None,
    }


def _first(options: dict[str, Any], keys: tuple[str, ...]) -> Any:
    """The first of these options that is set; of a group of options, its size."""
    found = next((options[key] for key in keys if options.get(key) is not None), None)
    return found.get("size") if isinstance(found, dict) else found


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000
