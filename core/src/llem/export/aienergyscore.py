"""The result files of AIEnergyScore, a folder for each configuration.

`benchmark_report.json` in the layout of its measuring tool (phase, energy, kWh) and `GPU_ENERGY_SUMMARY.json` with
`GPU_ENERGY_WH.txt` as its portal takes them: GPU energy in Wh. Its score is over 1,000 requests, so energies are brought to
1,000 requests; how many were measured stands beside. Only energy that was measured on GPUs has a place there.
Source: https://github.com/huggingface/AIEnergyScore.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llem.analysis.design import configured
from llem.errors import ResultError
from llem.export.source import Source
from llem.results.models import EnergyFigure, ExperimentResult

REQUESTS = 1_000
_J_PER_WH = 3_600.0


def write_aienergyscore(source: Source, folder: Path) -> tuple[int, list[str]]:
    """Write each configuration's files, means over its cycles; apart for each kind of node that it ran on.

    Returns:
        How many folders were written, and why other configurations were left out.

    Raises:
        ResultError: nothing can be written, since no energy was measured on a GPU.
    """
    written, left_out = 0, []
    for name, results in _configurations(source):
        measured = [(r, gpu) for r in results if (gpu := _gpu(r)) is not None and r.tokens and r.tokens.requests]
        if not measured:
            left_out.append(f"{name}: no energy was measured on a GPU, or a warning voids it")
            continue
        target = folder / name
        target.mkdir(parents=True, exist_ok=True)
        summary = _summary(measured)
        (target / "benchmark_report.json").write_text(_text(_report(measured)), encoding="utf-8")
        (target / "GPU_ENERGY_SUMMARY.json").write_text(_text(summary), encoding="utf-8")
        (target / "GPU_ENERGY_WH.txt").write_text(f"{summary['total']:.2f}\n", encoding="utf-8")
        written += 1
    if not written:
        raise ResultError(
            "AIEnergyScore's files hold energy that was measured on GPUs, and no configuration of this study has any.",
            where=str(source.path),
            remedy="Other formats hold what was measured or estimated elsewhere, such as --format csv.",
        )
    return written, left_out


def _configurations(source: Source) -> Iterator[tuple[str, list[ExperimentResult]]]:
    """The folder's name of each configuration, numbered where it ran on nodes that are not alike, and its results."""
    results = dict(source.results())
    found = configured(source.rows)
    parts = Counter(one.key for one in found)
    numbers: Counter[str] = Counter()
    for one in found:
        numbers[one.key] += 1
        name = one.key[:12] + (f"-{numbers[one.key]}" if parts[one.key] > 1 else "")
        # A row whose energy a warning voids has none, and its result is not used.
        kept = [row for row in one.rows if row.get("energy.headline.energy_j") is not None]
        yield name, [results[str(row["directory"])] for row in kept]


def _gpu(result: ExperimentResult) -> EnergyFigure | None:
    headline = result.energy.headline if result.energy else None
    return headline if headline is not None and headline.scope == "gpu" and headline.method != "estimate" else None


def _wh(measured: list[tuple[ExperimentResult, EnergyFigure]], stage: str | None = None) -> float | None:
    """Wh for 1,000 requests, mean over cycles; of one stage, None where a cycle cannot tell it."""
    values = []
    for result, gpu in measured:
        assert result.tokens is not None
        joules: float | None = gpu.energy_j
        if stage is not None:
            stages = result.energy.stages if result.energy else None
            found = getattr(stages, stage) if stages else None
            joules = found.energy_j if found else None
        if joules is None:
            return None
        values.append(joules / result.tokens.requests * REQUESTS / _J_PER_WH)
    return sum(values) / len(values)


def _summary(measured: list[tuple[ExperimentResult, EnergyFigure]]) -> dict[str, Any]:
    total = _wh(measured)
    assert total is not None
    stages = {f"{stage}_wh": wh for stage in ("prefill", "decode") if (wh := _wh(measured, stage)) is not None}
    return {"units": "Wh", "total": total, "format": "optimum", **stages, **_measured(measured)}


def _report(measured: list[tuple[ExperimentResult, EnergyFigure]]) -> dict[str, Any]:
    """Phases as told apart; where they are not, all of it stands under `decode`, as AIEnergyScore's own tools do."""
    first = measured[0][0]
    phases: dict[str, Any] = {}
    stages = {stage: _wh(measured, stage) for stage in ("prefill", "decode")}
    if any(wh is None for wh in stages.values()):
        stages = {"decode": _wh(measured)}
    for stage, wh in stages.items():
        kwh = None if wh is None else wh / 1000
        phases[stage] = {"energy": {"unit": "kWh", "cpu": None, "ram": None, "gpu": kwh, "total": None}}
    return {
        **phases,
        "model": first.config["model"]["source"],
        "backend": first.config["backend"],
        "config_hash": first.identity.config_hash,
        **_measured(measured),
    }


def _measured(measured: list[tuple[ExperimentResult, EnergyFigure]]) -> dict[str, Any]:
    return {
        "requests": REQUESTS,
        "measured_requests": sum(r.tokens.requests for r, _ in measured if r.tokens),
        "cycles": len(measured),
        "unreliable": any(gpu.unreliable for _, gpu in measured),
    }


def _text(data: Any) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
