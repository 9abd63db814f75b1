"""The result files of AIEnergyScore, a folder for each configuration.

`benchmark_report.json` in the layout of its measuring tool (phase, energy, kWh) and `GPU_ENERGY_SUMMARY.json` with
`GPU_ENERGY_WH.txt` as its summarizer writes them: GPU energy in Wh, which is the sum of the report's phases. Decode is all
that is not prefill, as their tool takes it. Its score is over 1,000 requests, so energies are brought to 1,000 requests; how
many were measured stands beside. Only energy that was measured on GPUs has a place there.
Source: https://github.com/huggingface/AIEnergyScore, https://github.com/huggingface/optimum-benchmark (scenario energy_star).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from llem.plugin_api import ExperimentResult, ResultError
from llem_analysis.design import configured
from llem_analysis.warning_codes import kind_of
from llem_analysis.weighing import voiding_code
from llem_exporters.safe_names import folder_name
from llem_exporters.source import Source

REQUESTS = 1_000
_J_PER_WH = 3_600.0
_NOT_MEASURED = "no energy was measured on a GPU, or a warning voids it"
_FILLED = ("offline", "single_stream", "aienergyscore")
"""Scenarios in which the engine always has the next request; the last is of their own files, imported."""

_UNDER_LOAD = (
    "its requests arrived by themselves, so that its energy holds pauses between them, which their score has not"
)
_PREFILL = "energy.stages.prefill.energy_j"


class _Gpu(NamedTuple):
    """Energy of the GPUs over one run's requests."""

    energy_j: float
    requests: int
    unreliable: bool


_Measured = tuple[ExperimentResult, _Gpu]


def write_aienergyscore(source: Source, folder: Path) -> tuple[int, list[str]]:
    """Write each configuration's files, means over its cycles; apart for each kind of node that it ran on.

    Returns:
        How many folders were written, and why other configurations were left out.

    Raises:
        ResultError: nothing can be written, since no energy was measured on a GPU.
    """
    written, left_out = 0, []
    for name, results, cycles in _configurations(source):
        if any(r.scenario not in _FILLED for r in results):
            left_out.append(f"{name}: {_UNDER_LOAD}")
            continue
        measured = [(r, gpu) for r in results if (gpu := _gpu(r)) is not None]
        if not measured:
            left_out.append(f"{name}: {_NOT_MEASURED}")
            continue
        if len(measured) < cycles:
            left_out.append(f"{name}, {cycles - len(measured)} of its {cycles} cycles: {_NOT_MEASURED}")
        target = folder / name
        target.mkdir(parents=True, exist_ok=True)
        phases = _phases(measured)
        (target / "benchmark_report.json").write_text(_text(_report(measured, phases)), encoding="utf-8")
        (target / "GPU_ENERGY_SUMMARY.json").write_text(_text(_summary(measured, phases)), encoding="utf-8")
        (target / "GPU_ENERGY_WH.txt").write_text(_shown(sum(phases.values())) + "\n", encoding="utf-8")
        written += 1
    if not written:
        raise ResultError(
            "AIEnergyScore's files hold energy that was measured on GPUs, and no configuration of this study has any for them. "
            f"The first: {left_out[0] if left_out else 'none is done'}.",
            where=str(source.path),
            remedy="Other formats hold what was measured or estimated elsewhere, such as --format csv.",
        )
    return written, left_out


def _configurations(source: Source) -> Iterator[tuple[str, list[ExperimentResult], int]]:
    """The folder's name of each configuration, numbered where it ran on nodes that are not alike, the results that have
    energy, and how many cycles are done."""
    results = dict(source.results())
    found = configured(source.rows)
    parts = Counter(one.key for one in found)
    numbers: Counter[str] = Counter()
    for one in found:
        numbers[one.key] += 1
        name = folder_name(one.key[:12]) + (f"-{numbers[one.key]}" if parts[one.key] > 1 else "")
        # A row whose energy a warning voids has none, and its result is not used.
        kept = [row for row in one.rows if row.get("energy.headline.energy_j") is not None]
        yield name, [results[str(row["directory"])] for row in kept], len(one.rows)


def _gpu(result: ExperimentResult) -> _Gpu | None:
    headline = result.energy.headline if result.energy else None
    if headline is None or headline.scope != "gpu" or headline.method == "estimate" or headline.energy_j is None:
        return None
    requests = result.tokens.requests if result.tokens else None
    return _Gpu(headline.energy_j, requests, headline.unreliable) if requests else None


def _phases(measured: list[_Measured]) -> dict[str, float]:
    """Wh of each phase, whose sum is all of the energy: prefill where every cycle tells it, and decode, which is the rest."""
    total = _wh(measured, [gpu.energy_j for _, gpu in measured])
    prefills = [_prefill_j(result) for result, _ in measured]
    told = [joules for joules in prefills if joules is not None]
    if len(told) < len(measured):
        return {"decode": total}
    prefill = _wh(measured, told)
    return {"prefill": prefill, "decode": total - prefill} if prefill <= total else {"decode": total}


def _prefill_j(result: ExperimentResult) -> float | None:
    stages = result.energy.stages if result.energy else None
    if stages is None or stages.prefill is None or voiding_code((w.code for w in result.warnings), _PREFILL):
        return None
    return stages.prefill.energy_j


def _wh(measured: list[_Measured], joules: list[float]) -> float:
    """Wh for 1,000 requests, mean over cycles."""
    values = [j / gpu.requests * REQUESTS / _J_PER_WH for j, (_, gpu) in zip(joules, measured, strict=True)]
    return sum(values) / len(values)


def _summary(measured: list[_Measured], phases: dict[str, float]) -> dict[str, Any]:
    told = {f"{phase}_wh": wh for phase, wh in phases.items()}
    return {"units": "Wh", "total": sum(phases.values()), "format": "optimum", **told, **_measured(measured)}


def _report(measured: list[_Measured], phases: dict[str, float]) -> dict[str, Any]:
    first = measured[0][0]
    energies = {
        phase: {"energy": {"unit": "kWh", "cpu": None, "ram": None, "gpu": wh / 1000, "total": None}}
        for phase, wh in phases.items()
    }
    return {
        **energies,
        "model": first.config["model"]["source"],
        "backend": first.config["backend"],
        "config_hash": first.identity.config_hash,
        **_measured(measured),
    }


def _shown(wh: float) -> str:
    """Two decimals, as their summarizer writes it; more where they would show less than three digits of it."""
    return f"{wh:.2f}" if wh >= 1 or wh == 0 else f"{wh:.3g}"


def _measured(measured: list[_Measured]) -> dict[str, Any]:
    return {
        "requests": REQUESTS,
        "measured_requests": sum(gpu.requests for _, gpu in measured),
        "cycles": len(measured),
        "unreliable": any(gpu.unreliable for _, gpu in measured),
        "llem_warnings": sorted(
            {w.code for r, _ in measured for w in r.warnings if kind_of(w.code).weight != "inform"}
        ),
    }


def _text(data: Any) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
